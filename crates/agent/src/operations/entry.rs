//! One record of the journal: what the agent knows of an operation, on disk and in memory. Never a key.

use std::fmt;

use backup_protocol::{OperationError, OperationState, OperationStatus};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Backup, restore or rehearsal; their ids do not clash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `/v1/backups/{id}`.
    Backup,
    /// `/v1/restores/{id}`.
    Restore,
    /// `/v1/rehearsals/{id}`.
    Rehearsal,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Rehearsal => "rehearsal",
        })
    }
}

/// Kind and id.
pub(super) type Key = (Kind, String);

/// Where the objects of a backup are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Objects {
    pub(super) store: String,
    pub(super) object_prefix: String,
    pub(super) backup_id: String,
    /// What the folder's owner object holds while the folder is ours; random.
    #[serde(default)]
    pub(super) owner: String,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) status: OperationStatus,
    /// Objects this operation may have written and, unless it is done, must remove. Recorded before the folder is
    /// claimed; whose the folder is, its owner object says.
    pub(super) owned: Option<Objects>,
    /// The objects could not be removed yet.
    pub(super) cleanup_pending: bool,
}

impl Entry {
    /// A record of an operation that begins now.
    pub(super) fn begin(kind: Kind, id: &str, epoch: i64, now: DateTime<Utc>) -> Self {
        let status = OperationStatus {
            id: id.to_owned(),
            epoch,
            state: OperationState::Running,
            bytes_read: 0,
            bytes_stored: 0,
            total_bytes_estimate: None,
            started_at: now,
            finished_at: None,
            parts: Vec::new(),
            checksum: None,
            filter_plugins: Vec::new(),
            error: None,
            rehearsal: None,
        };
        Self { kind, status, owned: None, cleanup_pending: false }
    }

    pub(super) fn key(&self) -> Key {
        (self.kind, self.status.id.clone())
    }

    pub(super) fn is_running(&self) -> bool {
        self.status.state == OperationState::Running
    }

    /// Ends the operation without success.
    pub(super) fn end(&mut self, state: OperationState, error: Option<OperationError>, now: DateTime<Utc>) {
        self.status.state = state;
        self.status.error = error;
        self.status.finished_at = Some(now);
        self.status.parts = Vec::new();
    }
}
