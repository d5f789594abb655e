//! What waits, what runs, what failed, and who serves it.

use backup_queue::overview::{JobOverview, QueueOverview};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::schema::{example_time, job_state, queue, time, time_or_null};
use super::{Timestamp, View};

/// One queue.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue)]
pub(crate) struct QueueView {
    #[schema(schema_with = queue)]
    queue: String,
    /// Jobs that wait for a worker.
    #[schema(minimum = 0)]
    ready: i64,
    /// Jobs that wait for their time.
    #[schema(minimum = 0)]
    scheduled: i64,
    /// Jobs a worker works on.
    #[schema(minimum = 0)]
    running: i64,
    /// Jobs that were given up.
    #[schema(minimum = 0)]
    failed: i64,
    /// Since when the longest waiting job could run.
    #[schema(schema_with = time_or_null)]
    oldest_ready_at: Option<Timestamp>,
    /// The worker processes that serve it now.
    served_by: Vec<String>,
}

impl View for QueueView {
    fn example() -> Self {
        Self {
            queue: "backup_agent_backups".to_owned(),
            ready: 1,
            scheduled: 0,
            running: 2,
            failed: 0,
            oldest_ready_at: Some(example_time(0)),
            served_by: vec!["worker-1".to_owned()],
        }
    }
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
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobView {
    #[schema(minimum = 1)]
    id: i64,
    #[schema(schema_with = queue)]
    queue: String,
    /// What sort of job it is.
    kind: String,
    #[schema(value_type = Object)]
    arguments: Value,
    #[schema(schema_with = job_state)]
    state: &'static str,
    /// How often it was begun.
    #[schema(minimum = 0)]
    attempt: i32,
    #[schema(minimum = 1)]
    max_attempts: i32,
    /// When it is or was due.
    #[schema(schema_with = time)]
    run_at: Timestamp,
    /// The worker that holds it.
    claimed_by: Option<String>,
    #[schema(schema_with = time_or_null)]
    lease_expires_at: Option<Timestamp>,
    last_error: Option<String>,
    #[schema(schema_with = time_or_null)]
    finished_at: Option<Timestamp>,
}

impl View for JobView {
    fn example() -> Self {
        Self {
            id: 12,
            queue: "backup_agent_backups".to_owned(),
            kind: "start_backup".to_owned(),
            arguments: json!({"id": 1}),
            state: "running",
            attempt: 1,
            max_attempts: 5,
            run_at: example_time(0),
            claimed_by: Some("worker-1".to_owned()),
            lease_expires_at: Some(example_time(60)),
            last_error: None,
            finished_at: None,
        }
    }
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
