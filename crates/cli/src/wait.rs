//! Waits for a backup or restore and shows how far it is: a bar on a terminal, lines elsewhere. A manager that is
//! away for a while is waited for as well, because the operation goes on without it.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::api::{ApiClient, Progress};
use crate::args::WaitArgs;
use crate::error::Error;
use crate::output::{Screen, bytes, one_line};

/// The manager may be away for so long before waiting ends.
const PATIENCE: Duration = Duration::from_secs(300);
/// Without a terminal, a line at least this often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// What is waited for.
pub(crate) struct Operation<'a> {
    /// For people, for example `Backup 7`.
    pub(crate) name: String,
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
    let mut display = Display::new(screen, &operation.name);
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
                let progress = progress(&answer)?;
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

fn progress(answer: &Value) -> Result<Progress, Error> {
    serde_json::from_value(answer.clone()).map_err(|error| Error::Answer(error.to_string()))
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
    bar: Option<ProgressBar>,
    last: Option<(String, u64, Instant)>,
    is_away: bool,
}

impl<'a> Display<'a> {
    fn new(screen: &'a mut Screen, name: &str) -> Self {
        let bar = screen.has_live_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { screen, name: name.to_owned(), bar, last: None, is_away: false }
    }

    fn show(&mut self, progress: &Progress) -> Result<(), Error> {
        self.is_away = false;
        match &self.bar {
            Some(bar) => draw(bar, &self.name, progress),
            None => self.print(progress)?,
        }
        Ok(())
    }

    /// Says once that the manager does not answer.
    fn away(&mut self) -> Result<(), Error> {
        match &self.bar {
            Some(bar) => bar.set_message("the manager does not answer; waiting"),
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
            self.screen.remark(&line(&self.name, progress))?;
        }
        Ok(())
    }
}

impl Drop for Display<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn draw(bar: &ProgressBar, name: &str, progress: &Progress) {
    let template = match progress.total_bytes_estimate.filter(|total| *total > 0) {
        Some(total) => {
            bar.set_length(total.max(progress.bytes_processed.unwrap_or(0)));
            "{prefix} {msg} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
        }
        None => "{spinner} {prefix} {msg} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name.to_owned());
    bar.set_message(one_line(&progress.status));
    bar.set_position(progress.bytes_processed.unwrap_or(0));
}

fn tenths(progress: &Progress) -> u64 {
    let part = progress.bytes_processed.zip(progress.total_bytes_estimate.filter(|total| *total > 0));
    part.map_or(0, |(done, total)| done.saturating_mul(10) / total)
}

fn line(name: &str, progress: &Progress) -> String {
    let amount = match (progress.bytes_processed, progress.total_bytes_estimate) {
        (Some(done), Some(total)) if total > 0 => format!(", {} of about {}", bytes(done), bytes(total)),
        (Some(done), _) if done > 0 => format!(", {}", bytes(done)),
        _ => String::new(),
    };
    format!("{name} {}{amount}", one_line(&progress.status))
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
            assert_eq!(line("Backup 7", &progress), text);
        }
    }

    #[test]
    fn an_estimate_of_zero_or_too_little_does_no_harm() {
        assert_eq!(tenths(&progress("running", Some(5), Some(0))), 0);
        assert_eq!(tenths(&progress("running", Some(30), Some(10))), 30);
    }
}
