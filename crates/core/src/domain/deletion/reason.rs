//! Why a backup is kept, marked, removed or cleaned up after.

use std::fmt;

use crate::domain::hold::Hold;

/// Why; `Display` gives the clause for a person, the same in the dry run, in the audit trail and in a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionReason {
    /// The instance has no such backup.
    Unknown,
    /// It is queued or running.
    Unfinished,
    /// Somebody holds it.
    Held(Hold),
    /// A restore uses it.
    UsedByRestore,
    /// A rehearsal uses it.
    UsedByRehearsal,
    /// It is younger than the retention time.
    Young {
        /// The retention time.
        days: i32,
    },
    /// Too few newer `done` backups exist.
    Needed {
        /// `done` backups that are newer.
        newer: usize,
        /// How many there have to be.
        required: usize,
    },
    /// The oldest promised moment is restored from it.
    NeededForWindow {
        /// How far back moments are promised.
        days: i32,
    },
    /// It was marked and can still be undeleted.
    UndoWindow,
    /// Its instance was deleted, not long enough ago.
    DeletedInstance {
        /// How long such backups stay.
        days: i32,
    },
    /// It did not fail, or has been cleaned up after.
    NothingLeft,
    /// Old enough, and enough newer `done` backups exist.
    Expired {
        /// `done` backups that are newer.
        newer: usize,
        /// The retention time.
        days: i32,
    },
    /// A failed backup older than the retention time.
    OldFailure {
        /// The retention time.
        days: i32,
    },
    /// Its instance was deleted.
    InstanceDeleted,
    /// The undo window is over.
    UndoWindowOver,
    /// Its instance was deleted long enough ago.
    DeletedInstanceOver {
        /// How long such backups stayed.
        days: i32,
    },
    /// A client asked for it.
    Requested,
    /// Its removal has begun before, and is finished whatever has changed since.
    Begun {
        /// Why it was begun.
        because: String,
    },
    /// It failed, and may have left partial objects.
    LeftBehind,
}

impl fmt::Display for DeletionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(f, "there is no such backup"),
            Self::Unfinished => write!(f, "it is not finished"),
            Self::Held(hold) => write!(f, "held: {hold}"),
            Self::UsedByRestore => write!(f, "a restore uses it"),
            Self::UsedByRehearsal => write!(f, "a rehearsal uses it"),
            Self::Young { days } => write!(f, "it is not older than {days} days"),
            Self::Needed { newer, required } => {
                write!(f, "only {newer} newer done backups exist, {required} are required")
            }
            Self::NeededForWindow { days } => {
                write!(f, "moments up to {days} days ago are restored from it")
            }
            Self::UndoWindow => write!(f, "it is marked and can still be undeleted"),
            Self::DeletedInstance { days } => {
                write!(f, "its instance is deleted, and its backups stay for {days} days after that")
            }
            Self::NothingLeft => write!(f, "it has left nothing behind"),
            Self::Expired { newer, days } => {
                write!(f, "it is older than {days} days and {newer} newer done backups exist")
            }
            Self::OldFailure { days } => write!(f, "it failed and is older than {days} days"),
            Self::InstanceDeleted => write!(f, "its instance is deleted"),
            Self::UndoWindowOver => write!(f, "it was marked and the time to undelete it is over"),
            Self::DeletedInstanceOver { days } => {
                write!(f, "its instance was deleted more than {days} days ago")
            }
            Self::Requested => write!(f, "its removal was requested"),
            Self::Begun { because } => write!(f, "{because}"),
            Self::LeftBehind => write!(f, "what it had left in the store when it failed"),
        }
    }
}
