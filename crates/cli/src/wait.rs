//! Waits for a backup or restore and shows how far it is: a bar on a terminal, lines elsewhere. A manager that is
//! away for a while is waited for as well, because the operation goes on without it.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::api::{ApiClient, Progress};
use crate::args::WaitArgs;
use crate::error::Error;
use crate::output::{Screen, amount, one_line};

/// The manager may be away for so long before waiting ends.
const PATIENCE: Duration = Duration::from_secs(300);
/// Without a terminal, a line at least this often.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Without a new byte for so long, a rate and the time left would be inventions.
const STANDSTILL: Duration = Duration::from_secs(10);

/// What progress is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Folders,
}

/// What is waited for.
pub(crate) struct Operation<'a> {
    /// For people, for example `Backup 7`.
    pub(crate) name: String,
    /// What it does while it runs and no bytes are processed, if that has a name.
    pub(crate) before_bytes: Option<&'static str>,
    /// What it is counted in.
    pub(crate) unit: Unit,
    /// Its URL.
    pub(crate) path: Vec<&'a str>,
    /// The command that shows it later.
    pub(crate) show: String,
}

/// Waits until the operation has ended and returns its last state; an error unless it is `done`.
pub(crate) async fn until_ended(
    client: &ApiClient,
    screen: &mut Screen,
    operation: &Operation<'_>,
    args: &WaitArgs,
) -> Result<Value, Error> {
    let mut display = Display::new(screen, operation);
    let waiting = poll(client, &mut display, operation, args.wait_interval);
    tokio::select! {
        outcome = within(args.wait_timeout, waiting) => match outcome {
            Some(outcome) => outcome,
            None => Err(Error::Failed(still_going(operation, "has not ended in time"))),
        },
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted(still_going(operation, "goes on"))),
    }
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

fn still_going(operation: &Operation<'_>, what: &str) -> String {
    format!("{} {what}; look again with: {}", operation.name, operation.show)
}

async fn poll(
    client: &ApiClient,
    display: &mut Display<'_>,
    operation: &Operation<'_>,
    interval: Duration,
) -> Result<Value, Error> {
    let mut away_since: Option<Instant> = None;
    loop {
        match client.get(&operation.path, &[]).await {
            Ok(answer) => {
                away_since = None;
                let progress = progress(&answer, operation.unit)?;
                display.show(&progress)?;
                match progress.status.as_str() {
                    "queued" | "running" => {}
                    "done" => return Ok(answer),
                    _ => return Err(Error::Failed(ended_badly(operation, &progress))),
                }
            }
            Err(error) if error.is_passing() => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(error);
                }
                display.away()?;
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(interval).await;
    }
}

fn progress(answer: &Value, unit: Unit) -> Result<Progress, Error> {
    let answered: Progress =
        serde_json::from_value(answer.clone()).map_err(|error| Error::Answer(error.to_string()))?;
    Ok(match unit {
        Unit::Bytes => answered,
        Unit::Folders => Progress {
            bytes_processed: answered.folders_done,
            total_bytes_estimate: answered.folders_total,
            ..answered
        },
    })
}

fn ended_badly(operation: &Operation<'_>, progress: &Progress) -> String {
    let reason = progress.reason_code.as_deref().unwrap_or("no reason given");
    let msg = progress.msg.as_deref().map(|msg| format!(": {}", one_line(msg))).unwrap_or_default();
    format!("{} {} ({reason}){msg}", operation.name, one_line(&progress.status))
}

/// A bar where there is a terminal, else a line when something worth a line has happened.
struct Display<'a> {
    screen: &'a mut Screen,
    name: String,
    unit: Unit,
    before_bytes: Option<&'static str>,
    bar: Option<Bar>,
    last: Option<(String, u64, Instant)>,
    is_away: bool,
}

impl<'a> Display<'a> {
    fn new(screen: &'a mut Screen, operation: &Operation<'_>) -> Self {
        let bar = screen.has_live_terminal().then(|| Bar::new(operation.unit));
        let (name, before_bytes) = (operation.name.clone(), operation.before_bytes);
        Self { screen, name, unit: operation.unit, before_bytes, bar, last: None, is_away: false }
    }

    fn show(&mut self, progress: &Progress) -> Result<(), Error> {
        self.is_away = false;
        match &mut self.bar {
            Some(bar) => bar.draw(&self.name, &doing(progress, self.before_bytes), progress),
            None => self.print(progress)?,
        }
        Ok(())
    }

    /// Says once that the manager does not answer.
    fn away(&mut self) -> Result<(), Error> {
        match &self.bar {
            Some(bar) => bar.bar.set_message("the manager does not answer; waiting"),
            None if !self.is_away => self.screen.remark("The manager does not answer; waiting.")?,
            None => {}
        }
        self.is_away = true;
        Ok(())
    }

    fn print(&mut self, progress: &Progress) -> Result<(), Error> {
        let tenths = tenths(progress);
        let is_news = match &self.last {
            None => true,
            Some((status, seen, at)) => {
                *status != progress.status || *seen != tenths || at.elapsed() >= LINE_EVERY
            }
        };
        if is_news {
            self.last = Some((progress.status.clone(), tenths, Instant::now()));
            self.screen.remark(&line(&self.name, self.unit, self.before_bytes, progress))?;
        }
        Ok(())
    }
}

/// The bar of a terminal.
struct Bar {
    bar: ProgressBar,
    unit: Unit,
    /// Bytes of the latest answer, and when they last grew.
    latest: (u64, Option<Instant>),
    was_moving: bool,
}

impl Bar {
    fn new(unit: Unit) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, unit, latest: (0, None), was_moving: false }
    }

    fn draw(&mut self, name: &str, doing: &str, progress: &Progress) {
        let done = progress.bytes_processed.unwrap_or(0);
        if done > self.latest.0 {
            self.latest = (done, Some(Instant::now()));
        }
        let is_moving = self.latest.1.is_some_and(|at| at.elapsed() < STANDSTILL);
        let total = progress.total_bytes_estimate.filter(|total| *total > 0);
        if let Some(total) = total {
            self.bar.set_length(total.max(done));
        }
        self.bar.set_prefix(name.to_owned());
        self.bar.set_message(doing.to_owned());
        self.bar.set_position(done);
        if is_moving && !self.was_moving {
            // The time before the first byte says nothing about the rate.
            self.bar.reset_eta();
        }
        self.was_moving = is_moving;
        // The bar ticks by itself: its new look must not show the numbers of before.
        if let Ok(style) = ProgressStyle::with_template(template(self.unit, done, total, is_moving)) {
            self.bar.set_style(style.progress_chars("=> "));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn template(unit: Unit, done: u64, total: Option<u64>, is_moving: bool) -> &'static str {
    match (done, total, is_moving) {
        (1.., Some(_), _) if unit == Unit::Folders => "{prefix} {msg} [{wide_bar}] {pos}/{len} folders",
        (0, ..) => "{spinner} {prefix} {msg} {elapsed}",
        (_, Some(_), true) => {
            "{prefix} {msg} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
        }
        (_, Some(_), false) => "{prefix} {msg} [{wide_bar}] {binary_bytes}/{binary_total_bytes}",
        (_, None, true) => "{spinner} {prefix} {msg} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
        (_, None, false) => "{spinner} {prefix} {msg} {binary_bytes} {elapsed}",
    }
}

/// The status, and what it means before the first byte.
fn doing(progress: &Progress, before_bytes: Option<&str>) -> String {
    let status = one_line(&progress.status);
    match before_bytes {
        Some(what) if status == "running" && progress.bytes_processed.unwrap_or(0) == 0 => {
            format!("{status}, {what}")
        }
        _ => status,
    }
}

fn tenths(progress: &Progress) -> u64 {
    let part = progress.bytes_processed.zip(progress.total_bytes_estimate.filter(|total| *total > 0));
    part.map_or(0, |(done, total)| done.saturating_mul(10) / total)
}

fn line(name: &str, unit: Unit, before_bytes: Option<&str>, progress: &Progress) -> String {
    let so_far = match progress.bytes_processed.filter(|done| *done > 0) {
        Some(done) if unit == Unit::Folders => {
            format!(", {done} of {} folders", progress.total_bytes_estimate.unwrap_or(done))
        }
        Some(done) => format!(", {}", amount(done, progress.total_bytes_estimate)),
        None => String::new(),
    };
    format!("{name} {}{so_far}", doing(progress, before_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(status: &str, done: Option<u64>, total: Option<u64>) -> Progress {
        Progress {
            status: status.into(),
            bytes_processed: done,
            total_bytes_estimate: total,
            ..Progress::default()
        }
    }

    #[test]
    fn a_line_tells_what_is_known() {
        let table = [
            (progress("queued", None, None), "Backup 7 queued"),
            (progress("running", Some(0), None), "Backup 7 running"),
            (progress("running", Some(1536), None), "Backup 7 running, 1.50 KiB"),
            (progress("running", Some(1024), Some(2048)), "Backup 7 running, 1.00 KiB of about 2.00 KiB"),
        ];
        for (progress, text) in table {
            assert_eq!(line("Backup 7", Unit::Bytes, None, &progress), text);
        }
        let checking =
            line("Restore 3", Unit::Bytes, Some("checking"), &progress("running", Some(0), Some(9)));
        assert_eq!(checking, "Restore 3 running, checking");
        let queued = line("Restore 3", Unit::Bytes, Some("checking"), &progress("queued", None, Some(9)));
        assert_eq!(queued, "Restore 3 queued");
        let folders = line("Rebuild 1", Unit::Folders, None, &progress("running", Some(3), Some(9)));
        assert_eq!(folders, "Rebuild 1 running, 3 of 9 folders");
    }

    #[test]
    fn a_rate_and_the_time_left_are_shown_only_while_bytes_move() {
        for (done, total, is_moving) in [(0, Some(9), true), (0, None, false), (5, Some(9), false)] {
            let template = template(Unit::Bytes, done, total, is_moving);
            assert!(!template.contains("eta") && !template.contains("per_sec"), "{template}");
        }
        assert!(template(Unit::Bytes, 5, Some(9), true).contains("{eta}"));
    }

    #[test]
    fn an_estimate_of_zero_or_too_little_does_no_harm() {
        assert_eq!(tenths(&progress("running", Some(5), Some(0))), 0);
        assert_eq!(tenths(&progress("running", Some(30), Some(10))), 30);
    }
}
