//! What the queue's tables tell about the jobs of the workers.

use std::time::Duration;

use super::stage::Stage;

/// Finished jobs of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finished {
    /// The time from the first claim to the last end.
    pub(super) seconds: f64,
    /// The longest of them.
    pub(super) longest: f64,
}

/// Waits until the newest job of this kind that was made in the last minutes has ended.
pub(super) fn wait_for_one(stage: &Stage, kind: &str, patience: Duration) -> anyhow::Result<Finished> {
    let unfinished = format!("SELECT count(*) /* bench */ FROM jobs WHERE kind = '{kind}'");
    let finished = format!("SELECT count(*) /* bench */ FROM finished_jobs WHERE kind = '{kind}'");
    let ended = format!("SELECT (({unfinished}) = 0 AND ({finished}) > 0)::int");
    stage.wait_for(&format!("the job {kind}"), &ended, 1.0, patience)?;
    finished_jobs(stage, kind, "true")
}

/// What the ended jobs of a kind took.
pub(super) fn finished_jobs(stage: &Stage, kind: &str, condition: &str) -> anyhow::Result<Finished> {
    let from = format!("/* bench */ FROM finished_jobs WHERE kind = '{kind}' AND {condition}");
    Ok(Finished {
        seconds: stage.number(&format!(
            "SELECT coalesce(extract(epoch FROM max(finished_at) - min(claimed_at)), 0) {from}"
        ))?,
        longest: stage.number(&format!(
            "SELECT coalesce(max(extract(epoch FROM finished_at - claimed_at)), 0) {from}"
        ))?,
    })
}
