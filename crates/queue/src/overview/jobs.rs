//! One line per job, of one state.

use std::fmt;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Jsonb, Nullable, Text, Timestamptz};

use crate::{Error, JobId};

/// Where a job stands, as an operator asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It can be claimed now.
    Ready,
    /// Its time has not come.
    Scheduled,
    /// A worker holds it.
    Running,
    /// It failed for good.
    Failed,
}

impl JobState {
    /// Every state: what happens now first.
    pub const ALL: [Self; 4] = [Self::Running, Self::Ready, Self::Scheduled, Self::Failed];

    /// Reads one of `ready`, `scheduled`, `running`, `failed`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One job as an operator sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOverview {
    /// Its number.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// What it was enqueued with.
    pub arguments: serde_json::Value,
    /// Where it stands.
    pub state: JobState,
    /// Attempts so far, the current one included.
    pub attempt: i32,
    /// Attempts it has in all.
    pub max_attempts: i32,
    /// When it became or becomes due.
    pub run_at: DateTime<Utc>,
    /// The worker that holds it, or ran it last.
    pub claimed_by: Option<String>,
    /// Until when it is held without a further heartbeat.
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// The error of its last failed attempt.
    pub last_error: Option<String>,
    /// When it failed for good.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Lists up to `limit` jobs of a state, of one queue or of all: ready, scheduled and running ones longest due first,
/// failed ones latest first. Proven by `the_overview_lists_jobs_of_a_state`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn jobs(
    conn: &mut PgConnection,
    queue: Option<&str>,
    state: JobState,
    limit: i64,
) -> Result<Vec<JobOverview>, Error> {
    let statement = match state {
        JobState::Failed => "select id, queue, kind, arguments, attempt, max_attempts, run_at, claimed_by,
                    null::timestamptz as lease_expires_at, last_error, finished_at
             from finished_jobs
             where outcome = 'failed' and ($1 is null or queue = $1)
             order by finished_at desc limit $2"
            .to_owned(),
        JobState::Ready => unfinished("jobs where is_due and claimed_by is null"),
        JobState::Scheduled => unfinished("jobs where not is_due"),
        JobState::Running => unfinished("running_jobs where true"),
    };
    let rows: Vec<Row> = diesel::sql_query(statement)
        .bind::<Nullable<Text>, _>(queue)
        .bind::<BigInt, _>(limit.max(0))
        .load(conn)?;
    Ok(rows.into_iter().map(|row| row.into_overview(state)).collect())
}

/// These, longest due first.
fn unfinished(these: &str) -> String {
    format!(
        "select id, queue, kind, arguments, attempt, max_attempts, run_at, claimed_by,
                lease_expires_at, last_error, null::timestamptz as finished_at
         from {these} and ($1 is null or queue = $1)
         order by run_at, id limit $2"
    )
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Jsonb)]
    arguments: serde_json::Value,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Integer)]
    max_attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    run_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    claimed_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    lease_expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    last_error: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    finished_at: Option<DateTime<Utc>>,
}

impl Row {
    fn into_overview(self, state: JobState) -> JobOverview {
        JobOverview {
            id: JobId(self.id),
            queue: self.queue,
            kind: self.kind,
            arguments: self.arguments,
            state,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            run_at: self.run_at,
            claimed_by: self.claimed_by,
            lease_expires_at: self.lease_expires_at,
            last_error: self.last_error,
            finished_at: self.finished_at,
        }
    }
}
