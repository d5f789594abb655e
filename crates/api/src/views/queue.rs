//! What waits, what runs, what failed, and who serves it.

use backup_queue::overview::{JobOverview, QueueOverview};
use serde::Serialize;
use serde_json::Value;

use super::Timestamp;

/// One queue.
#[derive(Serialize)]
pub(crate) struct QueueView {
    queue: String,
    ready: i64,
    scheduled: i64,
    running: i64,
    failed: i64,
    oldest_ready_at: Option<Timestamp>,
    served_by: Vec<String>,
}

impl From<QueueOverview> for QueueView {
    fn from(queue: QueueOverview) -> Self {
        Self {
            queue: queue.queue,
            ready: queue.ready,
            scheduled: queue.scheduled,
            running: queue.running,
            failed: queue.failed,
            oldest_ready_at: queue.oldest_ready_at.map(Timestamp),
            served_by: queue.served_by,
        }
    }
}

/// One job.
#[derive(Serialize)]
pub(crate) struct JobView {
    id: i64,
    queue: String,
    kind: String,
    arguments: Value,
    state: &'static str,
    attempt: i32,
    max_attempts: i32,
    run_at: Timestamp,
    claimed_by: Option<String>,
    lease_expires_at: Option<Timestamp>,
    last_error: Option<String>,
    finished_at: Option<Timestamp>,
}

impl From<JobOverview> for JobView {
    fn from(job: JobOverview) -> Self {
        Self {
            id: job.id.0,
            queue: job.queue,
            kind: job.kind,
            arguments: job.arguments,
            state: job.state.as_str(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            run_at: Timestamp(job.run_at),
            claimed_by: job.claimed_by,
            lease_expires_at: job.lease_expires_at.map(Timestamp),
            last_error: job.last_error,
            finished_at: job.finished_at.map(Timestamp),
        }
    }
}
