//! The words worker and backup agent exchange over HTTP, and nothing else: serde types, no I/O.
//! Unknown fields are ignored on purpose, so that either side can be newer. Paths and status codes are in
//! `docs/agent-protocol.md`; what ends up in the store is described by `backup-objects`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The protocol version this crate describes; an agent lists the versions it speaks in [`AgentInfo`].
pub const PROTOCOL_VERSION: u32 = 1;

/// Answer of `GET /v1/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Version of the agent program.
    pub agent_version: String,
    /// Protocol versions the agent speaks.
    pub protocol_versions: Vec<u32>,
    /// Kind of data service beside the agent, for example `postgresql`.
    pub data_service: String,
    /// Version of the running data service, when it can be asked.
    #[serde(default)]
    pub data_service_version: Option<String>,
    /// Names of the drivers built into the agent.
    #[serde(default)]
    pub drivers: Vec<String>,
    /// Optional abilities, for example `cancel`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Bytes free in the agent's scratch directory.
    #[serde(default)]
    pub free_scratch_bytes: Option<u64>,
}

/// Body of `PUT /v1/backups/{backup_id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartBackup {
    /// Grows with each dispatch of this backup; the agent refuses one lower than the newest it has seen.
    pub epoch: i64,
    /// Name of the store in the agent's configuration.
    pub store: String,
    /// Objects are written below `<object_prefix>/<backup_id>/`.
    pub object_prefix: String,
    /// Who is backed up; copied into the metadata.
    pub instance: InstanceRef,
    /// Scheme and key of the encryption.
    pub encryption: Encryption,
    /// Scheme and level of the compression.
    pub compression: Compression,
    /// Upper bound of bytes read per second; none means unlimited.
    #[serde(default)]
    pub rate_limit_bytes_per_second: Option<u64>,
    /// The agent gives up at this moment.
    pub deadline: DateTime<Utc>,
    /// Largest part, in bytes.
    pub part_size_limit: u64,
    /// Another type of backup than the agent's usual one, for example [`POSTGRESQL_WAL`]. An agent that is older than
    /// this field would ignore it; the capabilities in [`AgentInfo`] name the types an agent makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_type: Option<String>,
}

/// The type of backup, and the name of the driver and the capability, of a PostgreSQL base backup with its log.
pub const POSTGRESQL_WAL: &str = "postgresql_wal";

/// Body of `PUT /v1/restores/{restore_id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRestore {
    /// Grows with each dispatch of this restore.
    pub epoch: i64,
    /// The backup to load.
    pub backup_id: String,
    /// Name of the store in the agent's configuration.
    pub store: String,
    /// The prefix the backup was written under (see [`StartBackup::object_prefix`]).
    pub object_prefix: String,
    /// SHA-256 over the stored bytes of all parts in order, lower-case hexadecimal.
    pub checksum: String,
    /// Scheme and key the backup was encrypted with.
    pub encryption: Encryption,
    /// The agent gives up at this moment.
    pub deadline: DateTime<Utc>,
    /// Restore what was committed up to this moment, which must be in the backup's window (see [`PitrWindow`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_target_time: Option<DateTime<Utc>>,
    /// [`PitrWindow::last_segment`] of that window: without it, a moment behind the last commit of the stored log cannot
    /// be told from one that is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_last_segment: Option<String>,
}

/// Answer of `GET /v1/pitr`, of an agent that archives the log of its data service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PitrReport {
    /// The windows of the newest base backups, the oldest first. A base without its own window here has none yet.
    pub windows: Vec<PitrWindow>,
    /// Bytes of log the server keeps because the agent has not received them yet.
    #[serde(default)]
    pub bytes_behind: Option<u64>,
    /// Segments the agent has received and not stored yet.
    #[serde(default)]
    pub segments_waiting: u64,
    /// Why the log cannot be archived just now; the windows do not grow meanwhile.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// The moments one base backup can be restored to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PitrWindow {
    /// The base backup.
    pub backup_id: String,
    /// Its end, by the data service's clock, in whole milliseconds.
    pub start_time: DateTime<Utc>,
    /// What was committed by then is stored.
    pub end_time: DateTime<Utc>,
    /// The last piece of the log that is needed for [`PitrWindow::end_time`].
    pub last_segment: String,
    /// Whether it will grow.
    pub state: PitrWindowState,
    /// Why it is broken.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What becomes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PitrWindowState {
    /// It grows.
    Open,
    /// It ends where the window of a newer base begins.
    Continued,
    /// It ends where the log could not be followed any longer; a gap follows.
    Broken,
}

/// Body of `PUT /v1/rehearsals/{rehearsal_id}`: the backup is restored into a scratch data service, checked and removed
/// again; the running data service is not touched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRehearsal {
    /// Grows with each dispatch of this rehearsal.
    pub epoch: i64,
    /// The backup to rehearse.
    pub backup_id: String,
    /// Name of the store in the agent's configuration.
    pub store: String,
    /// The prefix the backup was written under (see [`StartBackup::object_prefix`]).
    pub object_prefix: String,
    /// SHA-256 over the stored bytes of all parts in order, lower-case hexadecimal.
    pub checksum: String,
    /// Scheme and key the backup was encrypted with.
    pub encryption: Encryption,
    /// The agent gives up at this moment.
    pub deadline: DateTime<Utc>,
}

/// The service instance a backup belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRef {
    /// The platform's GUID of the service instance.
    pub guid: String,
    /// Kind of data service, for example `postgresql`.
    pub data_service: String,
    /// The service plan, when known.
    #[serde(default)]
    pub plan_guid: Option<String>,
}

/// How the stored bytes are encrypted. The key never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// Which scheme.
    pub scheme: EncryptionScheme,
    /// The passphrase.
    pub key: String,
    /// The manager's name of the key, written into the metadata so that an operator can find it again.
    pub key_id: String,
    /// Sealed by the manager for itself: with it and the operator's keys, a manager that lost its database can restore
    /// the backup. The agent copies it into the metadata as it is, and does not look inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_envelope: Option<String>,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encryption")
            .field("scheme", &self.scheme)
            .field("key", &"…")
            .field("key_id", &self.key_id)
            .finish()
    }
}

/// Encryption schemes of the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncryptionScheme {
    /// age v1 with a passphrase recipient.
    Age,
    /// What `openssl enc -aes256 -md md5` writes: the legacy form. It has no authentication of its own.
    OpensslEnc,
}

impl EncryptionScheme {
    /// Its word in `filter_plugins`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::OpensslEnc => "openssl-enc",
        }
    }
}

/// How the stream is compressed before encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compression {
    /// Which scheme.
    pub scheme: CompressionScheme,
    /// Level in the scheme's own scale.
    pub level: i32,
}

/// Compression schemes of the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompressionScheme {
    /// Zstandard.
    Zstd,
    /// gzip, of the legacy form.
    Gzip,
}

impl CompressionScheme {
    /// Its word in `filter_plugins`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// Answer of `PUT`, `GET` and `DELETE` on `/v1/backups/{id}`, `/v1/restores/{id}` and `/v1/rehearsals/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// The id in the path: that of the backup, the restore or the rehearsal.
    pub id: String,
    /// Newest epoch the agent has seen for this operation.
    pub epoch: i64,
    /// Where the operation stands.
    pub state: OperationState,
    /// Plain bytes read from the data service (backup) or from the store (restore) so far.
    #[serde(default)]
    pub bytes_read: u64,
    /// Bytes written to the store (backup) or to the data service (restore) so far.
    #[serde(default)]
    pub bytes_stored: u64,
    /// Estimate, for a backup, of `bytes_read` at the end; for a restore, of `bytes_stored`: plain bytes in both cases.
    #[serde(default)]
    pub total_bytes_estimate: Option<u64>,
    /// When the agent began.
    pub started_at: DateTime<Utc>,
    /// When it ended; none while `running`.
    #[serde(default)]
    pub finished_at: Option<DateTime<Utc>>,
    /// The stored parts in order; complete when `done`.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// SHA-256 over the stored bytes of all parts in order, lower-case hexadecimal; set when a backup is `done`.
    #[serde(default)]
    pub checksum: Option<String>,
    /// Filters in the order they were applied, for example `["zstd", "age"]`.
    #[serde(default)]
    pub filter_plugins: Vec<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<OperationError>,
    /// What a rehearsal found; set once the backup was loaded, also when a check failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Box<RehearsalReport>>,
}

/// What a rehearsal found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalReport {
    /// Milliseconds from the beginning to the last check.
    pub duration_ms: u64,
    /// Of these, the milliseconds until the data was in place: what a restore takes here.
    pub restore_ms: u64,
    /// What was looked at, in the driver's order.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// One thing a driver looked at in a scratch data service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: a word like `databases`.
    pub name: String,
    /// How it is.
    pub outcome: CheckOutcome,
    /// For a person; never content of the data service.
    #[serde(default)]
    pub detail: String,
}

/// How something is that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// As it should be.
    Passed,
    /// Not as it should be: the backup cannot be relied upon.
    Failed,
    /// Could not be looked at, for example because a program is not installed; the detail says why.
    Skipped,
}

impl Check {
    /// It is as it should be.
    pub fn passed(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: CheckOutcome::Passed, detail: detail.into() }
    }

    /// It is not as it should be.
    pub fn failed(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: CheckOutcome::Failed, detail: detail.into() }
    }

    /// It could not be looked at.
    pub fn skipped(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: CheckOutcome::Skipped, detail: detail.into() }
    }
}

/// States of an operation on the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// The agent works on it.
    Running,
    /// Complete and verified.
    Done,
    /// Ended without success; [`OperationStatus::error`] says why.
    Failed,
    /// Ended by a `DELETE`.
    Cancelled,
}

/// One stored part of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Object name below the backup's folder, for example `data.00001`.
    pub name: String,
    /// Stored bytes.
    pub size: u64,
    /// SHA-256 of the stored bytes, lower-case hexadecimal.
    pub sha256: String,
}

/// Answer of `GET /v1/operations`: a page of the agent's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationList {
    /// The operations behind the cursor, in the order of cursors.
    pub operations: Vec<ListedOperation>,
    /// The cursor for the next page; none at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// One operation of an agent's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedOperation {
    /// Backup, restore or rehearsal; their ids do not clash.
    pub kind: ListedKind,
    /// The id in its path.
    pub id: String,
    /// Newest epoch the agent has seen for it; 0 when it was cancelled before it was ever started.
    pub epoch: i64,
    /// Where it stands.
    pub state: OperationState,
    /// When the agent began.
    pub started_at: DateTime<Utc>,
    /// When it ended; none while `running`.
    #[serde(default)]
    pub finished_at: Option<DateTime<Utc>>,
    /// What it left in the store is still to be removed.
    #[serde(default)]
    pub cleanup_pending: bool,
    /// Where its objects are, as long as the agent answers for them.
    #[serde(default)]
    pub objects: Option<ListedObjects>,
}

/// What an operation of a journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListedKind {
    /// Known below `/v1/backups`.
    Backup,
    /// Known below `/v1/restores`.
    Restore,
    /// Known below `/v1/rehearsals`.
    Rehearsal,
}

/// Where the objects of a backup are: below `<object_prefix>/<id>/` of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedObjects {
    /// Name of the store.
    pub store: String,
    /// See [`StartBackup::object_prefix`].
    pub object_prefix: String,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationError {
    /// Stable, machine-readable: `data_service_error`, `data_service_unreachable`, `data_service_access_denied`,
    /// `data_service_version`, `program_missing`, `disk_full`, `store_error`, `interrupted`, `timed_out`,
    /// `checksum_mismatch`, `decryption_failed`, `check_failed`, `bad_request`, `internal`; of a cancelled operation [`NEVER_BEGUN`].
    pub code: String,
    /// For a person; secrets are redacted by the agent.
    pub message: String,
}

/// Body of every refusal (4xx, 5xx) of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// One CamelCase word: `OperationRunning`, `StaleEpoch`, `Busy`, `NotFound`, `BadRequest`, `Unauthorized`, `Internal`.
    pub error: String,
    /// For a person.
    pub description: String,
    /// With `OperationRunning`: the id of the operation that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_id: Option<String>,
    /// With `StaleEpoch`: the newest epoch the agent has seen for this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_epoch: Option<i64>,
}

/// Query of `DELETE` on `/v1/backups/{id}`, `/v1/restores/{id}` and `/v1/rehearsals/{id}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// Speaks for all dispatches up to this one, and is refused when the agent has seen a newer one. None, as from
    /// clients that know nothing of epochs, speaks for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// Only see to it that it never begins; leave alone what has begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unless_begun: bool,
}

/// `code` of the error of an operation that was stopped before it had begun, and never will.
pub const NEVER_BEGUN: &str = "never_begun";
