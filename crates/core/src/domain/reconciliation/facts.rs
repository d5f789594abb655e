//! What the three ledgers say of one instance, as plain values.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::finding::Place;
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::BackupId;
use crate::domain::operation::OperationKind;

/// Everything that is compared about one instance.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its backups in the database, of every status.
    pub rows: Vec<BackupRow>,
    /// Its folders in the stores that could be read.
    pub folders: Vec<Folder>,
    /// Stores that could not be read: nothing is said about what should be in them.
    pub unread_stores: HashSet<String>,
    /// Its agent's journal; none when it could not be read, or there is none.
    pub journal: Option<Vec<JournalEntry>>,
    /// The instance is deleted, and its agent gone with it.
    pub is_deleted: bool,
    /// The database's unfinished operations of the instance, and those the journal names, of whatever instance.
    pub operations: Vec<OperationRow>,
}

/// A backup in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupRow {
    /// Its number.
    pub id: BackupId,
    /// Where its objects are.
    pub place: Place,
    /// Where it stands.
    pub status: BackupStatus,
    /// It was `done` before it was marked, or is.
    pub was_done: bool,
    /// Its removal has begun.
    pub is_going: bool,
    /// Its remains are still to be removed.
    pub has_remains: bool,
    /// Stored bytes.
    pub size: u64,
    /// SHA-256 over them.
    pub checksum: Option<String>,
    /// When its status last changed.
    pub since: DateTime<Utc>,
    /// Why the last removal failed.
    pub removal_error: Option<String>,
}

/// A backup's folder in a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    /// Where it is.
    pub place: Place,
    /// Names below the folder, and sizes.
    pub objects: Vec<(String, u64)>,
    /// When the newest of them was stored.
    pub newest_at: DateTime<Utc>,
    /// What it holds.
    pub content: Content,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// No `metadata.json`: no backup.
    Partial,
    /// A `metadata.json` that says this.
    Described(Description),
    /// A `metadata.json` that cannot be used, and why.
    Unreadable(String),
    /// Nothing this product would write there.
    Foreign,
}

/// What a `metadata.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Whose backup.
    pub instance: String,
    /// Its id.
    pub backup_id: String,
    /// Stored bytes of all parts together.
    pub size: u64,
    /// SHA-256 over them.
    pub checksum: String,
    /// Names and sizes of the parts.
    pub parts: Vec<(String, u64)>,
}

/// An operation in an agent's journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// Backup or restore.
    pub kind: OperationKind,
    /// Its name.
    pub name: String,
    /// Newest epoch seen.
    pub epoch: i64,
    /// It runs.
    pub is_running: bool,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// It was cancelled, maybe before it had begun.
    pub is_cancelled: bool,
    /// Its remains are still to be removed.
    pub is_cleanup_pending: bool,
}

/// An operation in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationRow {
    /// Backup or restore.
    pub kind: OperationKind,
    /// Its name.
    pub name: String,
    /// It is one of this instance's.
    pub is_own: bool,
    /// `queued`, `running`, …
    pub status: String,
    /// Newest dispatch.
    pub epoch: i64,
    /// When its status last changed.
    pub since: DateTime<Utc>,
}

impl Folder {
    /// The size of one of its objects.
    pub(super) fn size_of(&self, name: &str) -> Option<u64> {
        self.objects.iter().find(|(known, _)| known == name).map(|(_, size)| *size)
    }
}
