//! How long a job waits for an idle worker: from the return of the enqueue to its first instruction.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::clock::seconds_between;
use super::lane::Lane;

/// How long a worker is left alone before the first job: its start is over, and it waits.
const IDLE: Duration = Duration::from_secs(1);
/// The longest wait for a job to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses between two jobs, in milliseconds; a contender that polls gets up to its interval on top.
const SHORTEST_GAP: u64 = 5;
const LONGEST_GAP: u64 = 25;

/// Milliseconds from two moments to the first instruction of each job.
#[derive(Default)]
pub(super) struct Latencies {
    /// From the return of the enqueue, when its commit is known.
    pub(super) after_commit: Vec<f64>,
    /// From the call.
    pub(super) after_call: Vec<f64>,
}

/// Enqueues `samples` jobs one after another to an idle worker process, or as many as fit into `budget`.
///
/// # Errors
/// When a job does not begin.
pub(super) fn measure(lane: &Lane<'_>, samples: u32, budget: Duration) -> anyhow::Result<Latencies> {
    let mut worker = lane.adapter(&["work", "0"])?;
    worker.tell("go")?;
    let mut enqueuer = lane.adapter(&["enqueue"])?;
    std::thread::sleep(IDLE);
    let until = Instant::now() + budget;
    let mut latencies = Latencies::default();
    for number in 0..samples {
        if Instant::now() > until {
            break;
        }
        std::thread::sleep(gap(number, lane.contender.kind.polling_ms));
        enqueuer.tell("one")?;
        let enqueued = enqueuer.numbers("", PATIENCE)?;
        let [before, after] = enqueued.as_slice() else { anyhow::bail!("two moments were expected") };
        let begun = worker.numbers("", PATIENCE)?;
        let begun = *begun.first().context("a moment was expected")?;
        latencies.after_commit.push(seconds_between(*after, begun) * 1000.0);
        latencies.after_call.push(seconds_between(*before, begun) * 1000.0);
    }
    worker.end()?;
    enqueuer.end()?;
    Ok(latencies)
}

/// A pause of random length; over its whole interval for a worker that polls, so that every moment of it is as likely.
fn gap(number: u32, polling_ms: u64) -> Duration {
    let range = LONGEST_GAP.saturating_sub(SHORTEST_GAP).max(polling_ms).max(1);
    let random = RandomState::new().hash_one(number).checked_rem(range).unwrap_or_default();
    Duration::from_millis(SHORTEST_GAP.saturating_add(random))
}
