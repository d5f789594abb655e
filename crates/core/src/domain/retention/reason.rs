//! Why retention keeps, marks or removes a backup.

use std::fmt;

/// Why; `Display` gives the sentence for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionReason {
    /// It is queued or running.
    Unfinished,
    /// A restore uses it.
    HeldByRestore,
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
    /// It was marked and can still be undeleted.
    UndoWindow,
    /// Its instance was deleted, not long enough ago.
    DeletedInstance {
        /// How long such backups stay.
        days: i32,
    },
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
}

impl fmt::Display for RetentionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => write!(f, "it is not finished"),
            Self::HeldByRestore => write!(f, "a restore uses it"),
            Self::Young { days } => write!(f, "it is not older than {days} days"),
            Self::Needed { newer, required } => {
                write!(f, "only {newer} newer done backups exist, {required} are required")
            }
            Self::UndoWindow => write!(f, "it is marked and can still be undeleted"),
            Self::DeletedInstance { days } => {
                write!(f, "its instance is deleted, and its backups stay for {days} days after that")
            }
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
        }
    }
}
