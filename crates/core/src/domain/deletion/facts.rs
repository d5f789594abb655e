//! What the gate is told: of the instance, with the operator's defaults filled in, and of each of its backups.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::backup::BackupStatus;
use crate::domain::hold::Hold;
use crate::domain::identifiers::BackupId;

/// What a deletion needs to know of an instance, defaults already filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionRule {
    /// When the instance was deleted; none for a live one.
    pub deleted_at: Option<DateTime<Utc>>,
    /// So many newest `done` backups of a live instance always stay.
    pub min_backup_count: i32,
    /// Backups of a live instance stay at least so many days.
    pub retention_days: i32,
    /// Backups of a deleted instance stay so many days after its deletion.
    pub deleted_retention_days: i32,
    /// How long an automatically marked backup of a live instance can be undeleted.
    pub undo_window: Duration,
    /// Any moment of the retention time is promised to be restorable, so far as the log goes.
    pub promises_moments: bool,
    /// Whether a client's `DELETE` may remove one of the newest `done` backups that the minimum protects.
    pub clients_may_go_below_minimum: bool,
}

/// What a deletion needs to know of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionFacts {
    /// Its number; grows with each backup, whatever the clock does.
    pub id: BackupId,
    /// Where it stands.
    pub status: BackupStatus,
    /// It is `done`, or was `done` before it was marked.
    pub was_done: bool,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// Time of its last status change.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was marked.
    pub marked_deleted_at: Option<DateTime<Utc>>,
    /// Its removal has begun, and why: from then on it cannot be taken back.
    pub removal_reason: Option<String>,
    /// The first moment it can be restored to, if it is a base backup with a window.
    pub window_start: Option<DateTime<Utc>>,
    /// A restore that is queued or running uses it.
    pub is_used_by_restore: bool,
    /// A rehearsal that is queued or running uses it.
    pub is_used_by_rehearsal: bool,
    /// Somebody holds, or has held it.
    pub hold: Option<Hold>,
    /// It failed, and its partial objects are still to be removed.
    pub has_remains: bool,
}
