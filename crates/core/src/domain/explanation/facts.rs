//! What an explanation is made of.

use chrono::{DateTime, Utc};

use crate::domain::places::Hindrance;

/// Everything that can keep a backup from starting, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// When the instance was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Its broker.
    pub broker: String,
    /// Its owner leaves it out of the schedule.
    pub is_excluded: bool,
    /// Why the schedule would leave it out, its owner's wish aside.
    pub skip_reason: Option<String>,
    /// The backup that is next in line.
    pub waiting: Option<NextBackup>,
    /// The operation of the instance that is in front of it; without one that waits: that runs.
    pub in_front: Option<InFront>,
    /// The job that will start it.
    pub job: Option<JobFacts>,
    /// No live worker serves the queue of that job.
    pub is_queue_unserved: bool,
    /// Its place in the line for the limits, if it stands there.
    pub line: Option<Line>,
    /// The schedule's job waits or runs.
    pub is_fanning_out: bool,
    /// When the schedule comes to this instance next.
    pub next_scheduled_at: Option<DateTime<Utc>>,
}

/// A backup that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct NextBackup {
    /// Its number.
    pub id: i64,
    /// Asked for by the schedule.
    pub is_scheduled: bool,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// What people see of it at the moment.
    pub msg: Option<String>,
    /// Somebody wants it cancelled.
    pub is_cancelled: bool,
}

/// Another operation of the instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InFront {
    /// `backup` or `restore`.
    pub kind: String,
    /// Its number.
    pub id: i64,
    /// It runs; else it waits in front.
    pub is_running: bool,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// A worker can take it.
    Ready,
    /// Its time has not come.
    Scheduled,
    /// A worker holds it.
    Running,
}

/// The job that starts a backup.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFacts {
    /// Where it stands.
    pub state: JobState,
    /// When it became or becomes due.
    pub run_at: DateTime<Utc>,
    /// Attempts that failed, and the one under way.
    pub attempt: i32,
    /// Attempts it has.
    pub max_attempts: i32,
    /// The error of the last one.
    pub last_error: Option<String>,
    /// Since when a worker holds it.
    pub claimed_at: Option<DateTime<Utc>>,
    /// Until when, without a sign of life.
    pub lease_expires_at: Option<DateTime<Utc>>,
}

/// A place in a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Since when.
    pub asked_at: DateTime<Utc>,
    /// Backups of the same owner, broker and store, and of the same sort, that asked earlier; counted up to a thousand.
    pub ahead: i64,
    /// The limit that binds; none: there is room, and it is others' turn.
    pub binding: Option<LimitFacts>,
}

/// A limit that binds.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitFacts {
    /// Its key in the configuration.
    pub name: String,
    /// Its value, and what is held under it.
    pub hindrance: Hindrance,
}
