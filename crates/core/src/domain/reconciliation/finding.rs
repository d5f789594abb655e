//! What a reconciliation says: a difference, what it is about, and what could be done about it.

use crate::domain::identifiers::BackupId;
use crate::domain::operation::OperationKind;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What sort of difference it is. The words are the wire's, the database's and the metrics'.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingKind {
            $($(#[$doc])* $name,)*
        }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// Objects of an instance's backup that the database does not know.
    ObjectWithoutRow = "object_without_row",
    /// A good backup of the database whose objects are not all in the store.
    RowWithoutObject = "row_without_object",
    /// Stored sizes, `metadata.json` and the database do not agree.
    SizeMismatch = "size_mismatch",
    /// Stored bytes, `metadata.json` and the database do not agree.
    ChecksumMismatch = "checksum_mismatch",
    /// A failed backup has objects that nobody is going to remove.
    ObjectsOfFailedBackup = "objects_of_failed_backup",
    /// Objects that should have been removed for more than a day.
    CleanUpOverdue = "clean_up_overdue",
    /// An agent has an operation that the database does not know.
    OperationUnknownToDatabase = "operation_unknown_to_database",
    /// An agent works on an operation that has ended for the database.
    OperationEndedInDatabase = "operation_ended_in_database",
    /// An operation runs for the database, and its agent has never heard of it.
    OperationUnknownToAgent = "operation_unknown_to_agent",
    /// An agent could not remove yet what an operation had left.
    CleanUpPendingAtAgent = "clean_up_pending_at_agent",
    /// An agent has seen a later dispatch than the database knows of.
    EpochAheadAtAgent = "epoch_ahead_at_agent",
    /// A folder of an instance that the database does not know.
    UnknownFolder = "unknown_folder",
}

/// Where a backup's objects are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Name of the store.
    pub store: String,
    /// Everything before the backup's own folder.
    pub object_prefix: String,
    /// The backup's own folder.
    pub backup_id: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.store, self.object_prefix, self.backup_id)
    }
}

/// What would remove a difference. None of them removes a whole backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// A person has to decide.
    ByHand,
    /// A whole backup is taken into the catalogue.
    Adopt(Place),
    /// Objects that are no whole backup, and belong to nothing, are removed.
    RemoveRemains(Place),
    /// The same, but an agent might still be writing them: later.
    RemoveRemainsLater,
    /// The remains of a failed backup are given to the deleter.
    CleanUp(BackupId),
    /// The agent is told to stop.
    StopOperation(OperationKind, String),
    /// Unfinished operations without a job are given one.
    EnqueueJobs,
}

impl Repair {
    /// Every word.
    pub const WORDS: [&'static str; 6] =
        ["by_hand", "adopt", "remove_remains", "clean_up", "stop_operation", "enqueue_jobs"];

    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::Adopt(_) => "adopt",
            Self::RemoveRemains(_) | Self::RemoveRemainsLater => "remove_remains",
            Self::CleanUp(_) => "clean_up",
            Self::StopOperation(..) => "stop_operation",
            Self::EnqueueJobs => "enqueue_jobs",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What sort.
    pub kind: FindingKind,
    /// What it is about; with the kind, it names the difference.
    pub subject: String,
    /// What exactly differs, for a person.
    pub details: String,
    /// What would remove it.
    pub repair: Repair,
    /// The same for a person.
    pub proposal: String,
}
