//! A reconciliation as a piece of work: what was asked for, how far it is, what it has said so far.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::identifiers::{ReconciliationId, ServiceInstanceGuid};

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Differences that can be removed without loss are removed.
    pub is_repair: bool,
    /// Stored bytes are read and hashed.
    pub is_deep: bool,
    /// One instance alone.
    pub instance: Option<ServiceInstanceGuid>,
}

/// Where the work stands, to go on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Instance by instance; the position is the number of the last.
    Instances,
    /// Folders of no instance; the position is store and folder.
    Folders,
    /// Stored bytes; the position is the number of the last backup.
    Bytes,
}

impl Phase {
    /// The word in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::Folders => "folders",
            Self::Bytes => "bytes",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Instances, Self::Folders, Self::Bytes].into_iter().find(|phase| phase.as_str() == text)
    }
}

/// How a reconciliation stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciliation {
    /// Its number.
    pub id: ReconciliationId,
    /// Who asked for it: a user's name, or `worker` for the schedule.
    pub requested_by: String,
    /// What was asked for.
    pub scope: Scope,
    /// `queued`, `running`, `done` or `failed`.
    pub status: String,
    /// What it works on.
    pub phase: Phase,
    /// Behind what it goes on.
    pub position: String,
    /// Instances there were at its start.
    pub instances_total: i64,
    /// Instances it has compared or tried to.
    pub instances_done: i64,
    /// Differences by kind.
    pub counts: BTreeMap<String, i64>,
    /// Agents and stores that could not be asked.
    pub not_compared: i64,
    /// Agents without a journal.
    pub notes: i64,
    /// Why it failed, or has to try again.
    pub msg: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Reconciliation {
    /// Whether it is `done` or `failed`.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "done" | "failed")
    }
}

/// What sort of thing a reconciliation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Two ledgers differ.
    Difference,
    /// Somebody could not be asked, so nothing is said about it.
    NotCompared,
    /// An agent offers no journal.
    Note,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Difference, Self::NotCompared, Self::Note];

    /// The word in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Difference => "difference",
            Self::NotCompared => "not_compared",
            Self::Note => "note",
        }
    }
}

/// Something a reconciliation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What sort.
    pub class: Class,
    /// A [`FindingKind`](super::FindingKind) for a difference; `agent`, `store` or `journal` else.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// The instance's GUID.
    pub instance: Option<String>,
    /// What exactly.
    pub details: String,
    /// The word of a [`Repair`](super::Repair).
    pub repair: Option<String>,
    /// The same for a person.
    pub proposal: Option<String>,
    /// What became of it, when repairs were asked for.
    pub outcome: Option<String>,
}
