//! What is known when the world is quiet again: everything the audit judges by, collected from the harness's own notes,
//! the database, the agents' logs and journals, and the store. Plain data, so that the checks are pure functions and can be
//! tested with doctored facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schedule::{Fault, Kind, Target};

/// Milliseconds since the load began, by the harness's monotonic clock; no fault moves that.
pub type Millis = u64;

/// Backup or restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Data service to store.
    Backup,
    /// Store to data service.
    Restore,
}

impl Sort {
    /// `backup` or `restore`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    /// The name of its table.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Backup => "backups",
            Self::Restore => "restores",
        }
    }
}

/// A fault as it was really done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inflicted {
    /// What was planned.
    #[serde(flatten)]
    pub fault: Fault,
    /// When it began.
    pub begun: Millis,
    /// When it was over: the process was started again, the proxy healed, the clock put right.
    pub ended: Millis,
    /// How many requests a proxy did it to.
    pub requests: Option<u64>,
}

/// Something the load asked for and was told is recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Request {
    /// Position of the instance.
    pub instance: usize,
    /// Its GUID.
    pub guid: String,
    /// Number of the row, in the table of its sort.
    pub id: i64,
    /// True for a restore.
    pub is_restore: bool,
    /// When it was accepted.
    pub accepted: Millis,
    /// The key a backup was asked for with.
    pub idempotency_key: Option<String>,
    /// SHA-256 over the data: for a backup, if it was the same before the request and after the end.
    pub content: Option<String>,
    /// Which backup a restore loads: instance and number.
    pub source: Option<(usize, i64)>,
    /// Statuses in the order in which they were seen.
    pub observed: Vec<String>,
    /// A cancellation was sent.
    pub cancel_sent: bool,
    /// A deletion was sent (backups).
    pub delete_sent: bool,
    /// What was wrong with the data after a restore, if anything.
    pub wrong_content: Option<String>,
}

impl Request {
    /// Backup or restore.
    #[must_use]
    pub fn sort(&self) -> Sort {
        if self.is_restore { Sort::Restore } else { Sort::Backup }
    }
}

/// The row of a backup or restore.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Number.
    pub id: i64,
    /// Number of the instance.
    pub service_instance_id: i64,
    /// Name towards the agent, whichever of the two is there.
    pub backup_id: String,
    /// Name of a restore towards the agent.
    pub restore_id: Option<String>,
    /// Where it stands.
    pub status: String,
    /// Stored bytes.
    pub size: i64,
    /// SHA-256 over them.
    pub checksum: Option<String>,
    /// Folder of the instance in the store.
    pub object_prefix: String,
    /// Why it failed.
    pub reason_code: Option<String>,
    /// The same for people.
    pub msg: Option<String>,
    /// Partial objects are still to be removed.
    pub has_remains: bool,
    /// Number of the dispatch.
    pub dispatch_epoch: i64,
    /// When somebody asked to cancel it.
    pub cancel_requested_at: Option<String>,
    /// Why its removal was begun, from when on it cannot be taken back.
    pub removal_reason: Option<String>,
    /// With which key it was asked for.
    pub idempotency_key: Option<String>,
}

impl Row {
    /// Its name towards the agent.
    #[must_use]
    pub fn name(&self) -> &str {
        self.restore_id.as_deref().unwrap_or(&self.backup_id)
    }
}

/// One committed change of a row, as a trigger of the harness wrote it down.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Order of the changes of one row.
    pub number: i64,
    /// The transaction; joins changes with audit events.
    pub transaction: i64,
    /// Which table.
    pub sort: Sort,
    /// The row before; none for a new one.
    pub old: Option<Row>,
    /// The row afterwards; none when it was removed.
    pub new: Option<Row>,
    /// When the harness saw it first; it happened at most a look earlier.
    pub seen: Millis,
}

/// An entry of the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The transaction it was written in.
    pub transaction: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// Whose.
    pub service_instance_guid: Option<String>,
    /// A sentence.
    pub subject: Option<String>,
}

impl Event {
    /// The number of the backup that the subject begins with: `backup 17: …`.
    #[must_use]
    pub fn backup(&self) -> Option<i64> {
        let rest = self.subject.as_deref()?.strip_prefix("backup ")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

/// A job that is still in the queue.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Number.
    pub id: i64,
    /// Kind.
    pub kind: String,
    /// What it is about.
    pub arguments: Value,
    /// `ready`, `scheduled` or `running`.
    pub state: String,
    /// How long until it is due, by the database's clock.
    pub due_in_seconds: f64,
    /// The last error.
    pub last_error: Option<String>,
}

/// A line of an agent's log that matters here, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The process has been started.
    Serving,
    /// Work began.
    Began(Sort, String),
    /// Work ended, well or not.
    Ended(Sort, String),
}

/// What one agent left behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentFacts {
    /// From its log, across restarts.
    pub lines: Vec<Line>,
    /// From its journal: kind and id, state; none when it cannot be read.
    pub journal: Option<Vec<(Sort, String, String)>>,
}

/// The folder of one backup in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folder {
    /// Size of all `data.*` together.
    pub size: u64,
    /// SHA-256 over them in order.
    pub checksum: String,
    /// `metadata.json`, if it is JSON.
    pub metadata: Option<Value>,
    /// Names of all files in it.
    pub names: Vec<String>,
}

/// A restore made after everything was over, to prove the bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Position of the instance.
    pub instance: usize,
    /// The backup's number.
    pub backup: i64,
    /// What its content must be.
    pub expected: String,
    /// What it was, or why it could not be had.
    pub found: Result<String, String>,
}

/// A service instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Instance {
    /// GUID.
    pub guid: String,
    /// Number in the database.
    pub row: i64,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `min_backups_per_instance`.
    pub min_backups: usize,
    /// `jobs.backup_agent.timeout`, in milliseconds.
    pub timeout: Millis,
    /// The instances; the position is also that of the agent.
    pub instances: Vec<Instance>,
    /// The faults.
    pub faults: Vec<Inflicted>,
    /// What the load asked for.
    pub requests: Vec<Request>,
    /// All backups.
    pub backups: Vec<Row>,
    /// All restores.
    pub restores: Vec<Row>,
    /// Every change of both, in order.
    pub changes: Vec<Change>,
    /// The audit trail.
    pub events: Vec<Event>,
    /// What is left in the queue.
    pub jobs: Vec<Job>,
    /// The agents.
    pub agents: Vec<AgentFacts>,
    /// Folders of the store by path, `<object_prefix>/<backup_id>`.
    pub folders: BTreeMap<String, Folder>,
    /// Files of the store that are in no such folder.
    pub strays: Vec<String>,
    /// The sample of restores.
    pub samples: Vec<Sample>,
    /// Processes that ended although nobody killed them, and panics in logs.
    pub accidents: Vec<String>,
}

impl Facts {
    /// The rows of a sort as they are now.
    #[must_use]
    pub fn rows(&self, sort: Sort) -> &[Row] {
        match sort {
            Sort::Backup => &self.backups,
            Sort::Restore => &self.restores,
        }
    }

    /// The position of the instance, which is also that of its agent.
    #[must_use]
    pub fn position(&self, service_instance_id: i64) -> Option<usize> {
        self.instances.iter().position(|instance| instance.row == service_instance_id)
    }

    /// Whether a fault of one of these kinds touched the time from `since` to `until`, at one of these targets.
    #[must_use]
    pub fn was_hit(&self, kinds: &[Kind], target: Option<Target>, since: Millis, until: Millis) -> bool {
        self.faults.iter().any(|fault| {
            kinds.contains(&fault.fault.kind)
                && target.is_none_or(|target| target == fault.fault.target)
                && fault.begun <= until
                && fault.ended >= since
        })
    }
}
