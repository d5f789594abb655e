//! How fast one worker process finishes jobs that are waiting.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::clock::{nanoseconds, seconds_between};
use super::lane::Lane;

/// How long the first job may take to begin.
const FIRST: Duration = Duration::from_secs(60);
/// How often the tables are looked at once all jobs have begun.
const LOOK: Duration = Duration::from_millis(2);

/// One worker process and its waiting jobs.
pub(super) struct Drain {
    /// Jobs finished.
    pub(super) jobs: u32,
    /// From the first instruction of the first job until the tables said that all were finished.
    pub(super) seconds: f64,
    /// From the word to begin until then.
    pub(super) seconds_from_go: f64,
}

impl Drain {
    /// Jobs per second.
    pub(super) fn rate(&self) -> f64 {
        f64::from(self.jobs) / self.seconds
    }
}

/// Lets a fresh worker process finish the `jobs` that wait in the lane, for at most `patience`.
///
/// # Errors
/// When the worker fails, or jobs are left that it believes to have run.
pub(super) fn measure(lane: &mut Lane<'_>, jobs: u32, patience: Duration) -> anyhow::Result<Drain> {
    let mut worker = lane.adapter(&["work", &jobs.to_string()])?;
    worker.tell("go")?;
    let go = nanoseconds()?;
    let first = *worker.numbers("first", FIRST)?.first().context("no first job")?;
    let until = Instant::now() + patience;
    let (end, left) = match worker.line(patience)? {
        // The clock is read before the question: what the answer saw had happened by then.
        Some(_) => loop {
            let asked = nanoseconds()?;
            if lane.is_empty()? {
                break (asked, 0);
            }
            if Instant::now() > until + patience {
                bail!("all jobs have run, but {} are not finished", lane.left()?);
            }
            std::thread::sleep(LOOK);
        },
        None => (nanoseconds()?, lane.left()?),
    };
    worker.end()?;
    Ok(Drain {
        jobs: jobs.saturating_sub(left),
        seconds: seconds_between(first, end),
        seconds_from_go: seconds_between(go, end),
    })
}
