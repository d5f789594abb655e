//! The words of a rebuild of the catalogue: what can become of a folder found in a store.

use chrono::{DateTime, Utc};

use super::identifiers::RebuildId;

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What became of a backup's folder that had no row. The words are the wire's and the database's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FindingOutcome {
            $($(#[$doc])* $name,)*
        }

        impl FindingOutcome {
            /// Every outcome.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

outcomes! {
    /// It has a row now.
    Adopted = "adopted",
    /// A dry run: it would have got a row.
    Adoptable = "adoptable",
    /// It has no `metadata.json`, so it is no backup: one that was not finished, or whose removal was not.
    Incomplete = "incomplete",
    /// Its `metadata.json` makes no sense, or could not be read.
    Unreadable = "unreadable",
    /// The folder's name is not that of a backup, or `metadata.json` names another one.
    Misplaced = "misplaced",
    /// A part is missing or has another size.
    Damaged = "damaged",
    /// No key is beside it: its agent did not copy the envelope.
    KeyMissing = "key_missing",
    /// Its key is sealed under a key of the operator that is not configured.
    KeyUnavailable = "key_unavailable",
    /// Its key's envelope cannot be opened.
    KeyRefused = "key_refused",
    /// No configured service broker fits its instance, which is not known.
    BrokerUnknown = "broker_unknown",
    /// Its instance is not known, and its broker could not be asked whether it exists.
    BrokerUnavailable = "broker_unavailable",
    /// Its instance is known, as one of another data service.
    OtherDataService = "other_data_service",
}

/// Why a folder cannot be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Of which sort.
    pub outcome: FindingOutcome,
    /// The instance that `metadata.json` names, if it could be read.
    pub instance: Option<String>,
    /// For a person.
    pub detail: String,
}

impl Obstacle {
    /// One without a known instance.
    pub fn new(outcome: FindingOutcome, detail: impl Into<String>) -> Self {
        Self { outcome, instance: None, detail: detail.into() }
    }

    /// The same, of this instance.
    #[must_use]
    pub fn of(self, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..self }
    }
}

/// One folder without a row, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its number, in the order in which it was found.
    pub id: i64,
    /// The word of a [`FindingOutcome`].
    pub outcome: String,
    /// Name of the store.
    pub store: String,
    /// The folder.
    pub path: String,
    /// Its last piece.
    pub backup_id: String,
    /// The platform's GUID of the instance, if it could be read.
    pub instance: Option<String>,
    /// For a person.
    pub detail: Option<String>,
}

/// Where a rebuild stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebuildStatus {
    /// No worker has begun.
    Queued,
    /// Folders are looked through.
    Running,
    /// All were.
    Done,
    /// It was given up; `msg` says why.
    Failed,
}

impl RebuildStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Done, Self::Failed];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Reads the word; none for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A search for backups without a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// Its number.
    pub id: RebuildId,
    /// Only this store; none means all that are configured.
    pub store: Option<String>,
    /// Nothing is adopted.
    pub is_dry_run: bool,
    /// Where it stands.
    pub status: RebuildStatus,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// When a worker began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Store and folder of the last instance that was looked through.
    pub position: Option<(String, String)>,
    /// Folders of instances in all its stores.
    pub folders_total: i64,
    /// Those that were looked through.
    pub folders_done: i64,
    /// Backups that had a row already.
    pub known: i64,
    /// Why it waits or was given up.
    pub msg: Option<String>,
}
