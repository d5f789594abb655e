//! One state of the modelled world: the database, two workers, the network between, one agent, the store.

use backup_core::domain::backup::BackupStatus;
use backup_protocol::OperationState;

/// Workers.
pub(crate) const WORKERS: usize = 2;
/// Attempts of a job that starts an operation.
pub(crate) const ATTEMPTS: i32 = 2;

/// Everything there is, and what the properties need to remember of the past.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct World {
    pub(crate) rows: Vec<Row>,
    pub(crate) jobs: Vec<Jobs>,
    pub(crate) workers: Vec<Option<Run>>,
    /// Requests that are on their way, in no order; a caller that no longer waits is none.
    pub(crate) net: Vec<Request>,
    pub(crate) agent: Agent,
    pub(crate) is_instance_deleted: bool,
    pub(crate) budget: Budget,
    pub(crate) past: Past,
}

/// A backup's row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) status: Status,
    pub(crate) reason: Option<&'static str>,
    pub(crate) epoch: i64,
    pub(crate) may_be_at_agent: bool,
    pub(crate) deadline: Deadline,
    pub(crate) wish: Wish,
}

/// [`BackupStatus`], with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Status {
    Queued,
    Running,
    Done,
    Failed,
}

impl Status {
    pub(crate) fn real(self) -> BackupStatus {
        match self {
            Self::Queued => BackupStatus::Queued,
            Self::Running => BackupStatus::Running,
            Self::Done => BackupStatus::Done,
            Self::Failed => BackupStatus::Failed,
        }
    }

    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// `deadline_at`, compared with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Deadline {
    Unset,
    Ahead,
    Passed,
}

/// `cancel_requested_at`, compared with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Wish {
    None,
    Fresh,
    WaitedFor,
}

/// The two jobs an operation may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Jobs {
    pub(crate) start: Job,
    pub(crate) check: Job,
}

/// A job's row. `attempt` counts the attempts that failed; claims are compared by their holder: a worker whose lease was
/// lost is marked instead of holding an old number, which keeps the states finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Job {
    None,
    Ready {
        attempt: i32,
    },
    /// By none: the worker is dead, and the lease has not expired.
    Held {
        by: Option<usize>,
        attempt: i32,
    },
}

/// Which job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verb {
    Start,
    Check,
}

impl Jobs {
    pub(crate) fn get(&self, verb: Verb) -> Job {
        match verb {
            Verb::Start => self.start,
            Verb::Check => self.check,
        }
    }

    pub(crate) fn slot(&mut self, verb: Verb) -> &mut Job {
        match verb {
            Verb::Start => &mut self.start,
            Verb::Check => &mut self.check,
        }
    }
}

/// A worker in the middle of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) operation: usize,
    pub(crate) verb: Verb,
    pub(crate) has_lease: bool,
    /// The number of this attempt, from 1.
    pub(crate) attempt: i32,
    pub(crate) at: At,
}

/// Between which two steps; any worker may die or be overtaken here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum At {
    /// Waits for the answer; with the row as it was read.
    Asking { seen: Row },
    /// About to ask the store whether it holds what the agent reports.
    Verifying,
    /// About to confirm the lease and to tell the agent never to begin what it does not know.
    Forbidding { seen: Row },
    /// Waits for the answer to that.
    Forbidden { seen: Row },
    /// About to confirm the lease and to tell the agent to stop.
    Telling { reason: &'static str },
    /// Waits for the answer to the order to stop, which comes before a failure is recorded.
    Stopping { reason: &'static str },
    /// About to write.
    Recording { record: Record, next: Next },
    /// About to say what becomes of the job.
    Settling(Next),
}

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Record {
    /// `queued` → `running`.
    Watch,
    NotDelivered {
        is_nowhere: bool,
    },
    Failed(&'static str),
    Done,
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Next {
    Done,
    Snooze,
    Retry,
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) operation: usize,
    pub(crate) what: What,
    pub(crate) caller: Option<usize>,
}

/// `PUT`, `GET`, `DELETE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum What {
    Start { epoch: i64 },
    Status,
    Stop { epoch: i64, unless_begun: bool },
}

/// What the caller hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reply {
    Accepted,
    Busy,
    OtherOperationRunning,
    StaleEpoch,
    Rejected,
    Undelivered,
    Lost,
    Unknown,
    Status { state: State, error: Option<&'static str> },
}

/// [`OperationState`], with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    Running,
    Done,
    Failed,
    Cancelled,
}

impl State {
    pub(crate) fn real(self) -> OperationState {
        match self {
            Self::Running => OperationState::Running,
            Self::Done => OperationState::Done,
            Self::Failed => OperationState::Failed,
            Self::Cancelled => OperationState::Cancelled,
        }
    }

    pub(crate) fn of(real: OperationState) -> Self {
        match real {
            OperationState::Running => Self::Running,
            OperationState::Done => Self::Done,
            OperationState::Failed => Self::Failed,
            OperationState::Cancelled => Self::Cancelled,
        }
    }
}

/// The agent: its journal survives, the rest is memory. Objects are what the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Agent {
    pub(crate) mode: Mode,
    pub(crate) journal: Vec<Option<Entry>>,
    pub(crate) running: Vec<bool>,
    pub(crate) stopping: Vec<bool>,
    pub(crate) objects: Vec<Objects>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Mode {
    Up,
    /// Told to stop; answers, but begins nothing.
    Closing,
    Down,
}

/// A record of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) epoch: i64,
    pub(crate) state: State,
    pub(crate) error: Option<&'static str>,
}

/// What the store holds of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Objects {
    None,
    Partial,
    Complete,
}

/// How much may still go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Budget {
    /// Deaths of workers.
    pub(crate) worker_crashes: u8,
    /// Deaths and stops of the agent.
    pub(crate) agent_crashes: u8,
    /// Calls given up: the request or its answer is lost, or late.
    pub(crate) losses: u8,
    /// Connections that do not stand.
    pub(crate) refusals: u8,
    /// Refusals by something between worker and agent.
    pub(crate) rejections: u8,
    /// Requests that arrive twice.
    pub(crate) duplicates: u8,
    /// Leases that expire under a living worker.
    pub(crate) expiries: u8,
    /// Wishes to cancel.
    pub(crate) wishes: u8,
    /// Deletions of the instance.
    pub(crate) deletions: u8,
    /// Times at which the store cannot be asked.
    pub(crate) outages: u8,
}

/// What the properties remember.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Past {
    /// How often the agent began each operation.
    pub(crate) begun: Vec<u8>,
    /// The agent was told to stop it.
    pub(crate) told: Vec<bool>,
    /// The agent said that it does not know it.
    pub(crate) disowned: Vec<bool>,
    /// A status moved where there is no arrow.
    pub(crate) illegal_move: bool,
    /// A worker wrote without its lease.
    pub(crate) unfenced_write: bool,
    /// The agent accepted a dispatch older than one it had seen.
    pub(crate) stale_accepted: bool,
    /// A failure was recorded for a reason that was none.
    pub(crate) wrong_reason: bool,
}
