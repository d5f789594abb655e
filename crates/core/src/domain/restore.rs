//! A restore: one run of loading a backup into a service instance.

use chrono::{DateTime, Utc};

use super::identifiers::{BackupId, RestoreId, ServiceInstanceId};

/// Where a restore stands; the words are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestoreStatus {
    /// Recorded, not yet accepted by the agent.
    Queued,
    /// The agent accepted it.
    Running,
    /// The data is back.
    Done,
    /// Ended without success; has a reason code.
    Failed,
}

impl RestoreStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Done, Self::Failed];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Reads the word; none for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a restore may move from `self` to `next`; the database holds the same table.
    pub fn can_become(self, next: Self) -> bool {
        use RestoreStatus::{Done, Failed, Queued, Running};
        matches!((self, next), (Queued, Running | Failed) | (Running, Done | Failed))
    }
}

/// One restore, as the manager knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// The manager's number.
    pub id: RestoreId,
    /// The instance the backup is loaded into.
    pub instance: ServiceInstanceId,
    /// The backup it loads; the backup itself may be gone by now.
    pub backup: BackupId,
    /// When that backup was taken.
    pub restored_from: DateTime<Utc>,
    /// Name towards the agent.
    pub restore_id: String,
    /// Where it stands.
    pub status: RestoreStatus,
    /// Plain bytes given to the data service so far.
    pub bytes_processed: i64,
    /// The agent's estimate of `bytes_processed` at the end.
    pub total_bytes_estimate: Option<i64>,
    /// Why it left the happy path.
    pub reason_code: Option<String>,
    /// The same for a person.
    pub msg: Option<String>,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// When the agent accepted it.
    pub started_at: Option<DateTime<Utc>>,
    /// Time of the last status change, once it has left `running`.
    pub finished_at: Option<DateTime<Utc>>,
    /// Last change of the row.
    pub updated_at: DateTime<Utc>,
}
