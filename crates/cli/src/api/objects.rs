//! The fields `backupctl` shows to people. Everything is optional and unknown fields are ignored, so that an older
//! or newer manager can be operated too; `--output json` prints the answer itself.

use serde::Deserialize;

/// A backup (spec 2.1).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Backup {
    /// Number.
    pub id: i64,
    /// Name towards agents and in the store.
    pub backup_id: Option<String>,
    /// Stored bytes.
    pub size: Option<u64>,
    /// Where it stands.
    pub status: String,
    /// Requested.
    pub triggered_at: Option<String>,
    /// Accepted by the agent.
    pub started_at: Option<String>,
    /// Last change of the status.
    pub finished_at: Option<String>,
    /// Whether `backups download` works.
    pub downloadable: Option<bool>,
    /// Why it failed, for programs.
    pub reason_code: Option<String>,
    /// Why it failed, for people.
    pub msg: Option<String>,
    /// SHA-256 of the stored bytes.
    pub checksum: Option<String>,
    /// Plain bytes so far.
    pub bytes_processed: Option<u64>,
    /// Plain bytes expected.
    pub total_bytes_estimate: Option<u64>,
    /// The hold that is in force.
    pub held: Option<Hold>,
    /// When a rehearsal last passed.
    pub last_verified_at: Option<String>,
    /// What rehearsals say of it.
    pub verification: Option<Verification>,
}

/// What rehearsals say of a backup.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Verification {
    /// `passed` or `failed`.
    pub verdict: String,
    /// How long the restore took, in milliseconds.
    pub restore_ms: Option<u64>,
}

/// A rehearsal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rehearsal {
    /// Number.
    pub id: i64,
    /// Number of the backup.
    pub backup_id: i64,
    /// Where it stands.
    pub status: String,
    /// Accepted by the agent.
    pub started_at: Option<String>,
    /// Last change of the status.
    pub finished_at: Option<String>,
    /// How long the restore took, in milliseconds.
    pub restore_ms: Option<u64>,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Check {
    /// What.
    pub name: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// For people.
    pub detail: String,
}

/// Why a backup stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Hold {
    /// In somebody's words.
    pub reason: String,
    /// Who placed it.
    pub by: String,
    /// When it was placed.
    pub at: Option<String>,
    /// When it ends by itself.
    pub until: Option<String>,
}

/// A restore (spec 2.2).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Restore {
    /// Number.
    pub id: i64,
    /// Number of the backup.
    pub backup_id: Option<i64>,
    /// Where it stands.
    pub status: String,
    /// Requested.
    pub triggered_at: Option<String>,
    /// Accepted by the agent.
    pub started_at: Option<String>,
    /// Last change of the status.
    pub finished_at: Option<String>,
    /// What was restored.
    pub metadata: Option<RestoreMetadata>,
    /// Why it failed, for programs.
    pub reason_code: Option<String>,
    /// Why it failed, for people.
    pub msg: Option<String>,
    /// Plain bytes so far.
    pub bytes_processed: Option<u64>,
    /// Plain bytes expected.
    pub total_bytes_estimate: Option<u64>,
}

/// What a restore loads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RestoreMetadata {
    /// When the backup was taken.
    pub restored_from: Option<String>,
}

/// How far a backup or restore is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// `queued`, `running`, `done`, `failed` or `deleted`.
    pub status: String,
    /// Bytes so far.
    pub bytes_processed: Option<u64>,
    /// Bytes expected.
    pub total_bytes_estimate: Option<u64>,
    /// Of a rebuild, in place of bytes.
    pub folders_done: Option<u64>,
    /// Of a rebuild, in place of bytes.
    pub folders_total: Option<u64>,
    /// Why it failed, for programs.
    pub reason_code: Option<String>,
    /// Why it failed, for people.
    pub msg: Option<String>,
}

/// A service instance (spec 2.4).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// The manager's number.
    pub id: i64,
    /// GUID.
    pub instance_id: String,
    /// Which broker provisioned it.
    pub service_broker: Option<String>,
    /// The broker's word for its state.
    pub state: Option<String>,
    /// Deployment.
    pub deployment_name: Option<String>,
    /// Plan.
    pub plan_guid: Option<String>,
    /// Organization.
    pub organization_guid: Option<String>,
    /// Space.
    pub space_guid: Option<String>,
    /// End of the last good backup.
    pub last_done_at: Option<String>,
    /// Its backups; only counted.
    pub backups: Vec<serde::de::IgnoredAny>,
    /// Its restores; only counted.
    pub restores: Vec<serde::de::IgnoredAny>,
}

/// An instance's configuration (spec 2.3).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InstanceConfig {
    /// Newest done backups that always stay.
    pub min_backup_count: Option<i64>,
    /// Days.
    pub retention_time: Option<i64>,
    /// Characters.
    pub min_encryption_key_length: Option<i64>,
    /// Left out of scheduled backups.
    pub exclude_from_auto_backup: Option<bool>,
    /// `postgresql_wal` or nothing.
    pub backup_type: Option<String>,
}

/// The moments an instance can be restored to.
#[derive(Debug, Deserialize)]
pub struct PitrWindow {
    /// The first one.
    pub start_time: String,
    /// The last one.
    pub end_time: String,
    /// Whether the last one moves on.
    pub is_growing: bool,
    /// Why it does not.
    pub reason: Option<String>,
}

/// A queue at a glance.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Name.
    pub queue: String,
    /// Due jobs.
    pub ready: i64,
    /// Jobs whose time has not come.
    pub scheduled: i64,
    /// Jobs a worker has.
    pub running: i64,
    /// Jobs given up in the last 24 hours.
    pub failed: i64,
    /// Since when the oldest due job waits.
    pub oldest_ready_at: Option<String>,
    /// Workers that serve it.
    pub served_by: Vec<String>,
}

/// A job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Number.
    pub id: i64,
    /// Queue.
    pub queue: String,
    /// Kind.
    pub kind: String,
    /// Arguments.
    pub arguments: serde_json::Value,
    /// Where it stands.
    pub state: String,
    /// Attempts so far.
    pub attempt: i64,
    /// Attempts allowed.
    pub max_attempts: i64,
    /// When it is due.
    pub run_at: Option<String>,
    /// Who has it.
    pub claimed_by: Option<String>,
    /// What went wrong.
    pub last_error: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
}

/// An event of the audit trail.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AuditEvent {
    /// Number.
    pub id: i64,
    /// When.
    pub at: Option<String>,
    /// Who: a user's name, or `worker`.
    pub actor: String,
    /// From where.
    pub address: Option<String>,
    /// What.
    pub action: String,
    /// GUID of the instance concerned.
    pub instance_id: Option<String>,
    /// What exactly.
    pub subject: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

/// Retention's word on one backup.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RetentionRow {
    /// GUID of the instance.
    pub instance_id: String,
    /// Number of the backup.
    pub id: i64,
    /// Where it stands.
    pub status: String,
    /// Requested.
    pub triggered_at: Option<String>,
    /// `keep`, `mark` or `remove`.
    pub action: String,
    /// Why.
    pub reason: String,
}

/// A comparison of the ledgers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reconciliation {
    /// Number.
    pub id: i64,
    /// `queued`, `running`, `done` or `failed`.
    pub status: String,
    /// What it works on.
    pub phase: String,
    /// Instances there are.
    pub instances_total: i64,
    /// Instances it is done with.
    pub instances_done: i64,
    /// Differences in all.
    pub differences: i64,
    /// Agents and stores that could not be asked.
    pub not_compared: i64,
    /// Agents without a journal.
    pub notes: i64,
    /// Differences by kind.
    pub counts: std::collections::BTreeMap<String, i64>,
    /// Why it failed, or has to try again.
    pub msg: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// A page of what it has found.
    pub findings: Vec<ReconciliationFinding>,
    /// The next page.
    pub next_after: Option<i64>,
}

/// Something a reconciliation says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ReconciliationFinding {
    /// `difference`, `not_compared` or `note`.
    pub class: String,
    /// What sort.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// GUID of the instance.
    pub instance_id: Option<String>,
    /// What exactly.
    pub details: String,
    /// What would remove it.
    pub proposal: Option<String>,
    /// What became of the repair.
    pub outcome: Option<String>,
}

/// A rebuild of the catalogue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rebuild {
    /// Number.
    pub id: i64,
    /// One store, or all.
    pub store: Option<String>,
    /// Adopts nothing.
    pub dry_run: bool,
    /// Where it stands.
    pub status: String,
    /// Requested.
    pub requested_at: Option<String>,
    /// A worker began.
    pub started_at: Option<String>,
    /// It ended.
    pub finished_at: Option<String>,
    /// Folders of instances.
    pub folders_total: i64,
    /// Those that were looked through.
    pub folders_done: i64,
    /// Backups that had a row.
    pub known: i64,
    /// How often what was found.
    pub outcomes: std::collections::BTreeMap<String, i64>,
    /// Why it waits or was given up.
    pub msg: Option<String>,
}

/// A folder without a row.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// Number.
    pub id: i64,
    /// What became of it.
    pub outcome: String,
    /// Name of the store.
    pub store: String,
    /// Last piece of the folder.
    pub backup_id: String,
    /// GUID of the instance.
    pub instance_id: Option<String>,
    /// For a person.
    pub detail: Option<String>,
}

/// A store of the manager's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Store {
    /// Name.
    pub name: String,
    /// Kind of provider.
    pub kind: String,
}

/// What was found in a store.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StoreCheck {
    /// Name of the store.
    pub name: String,
    /// Whether all works.
    pub is_healthy: bool,
    /// What was tried.
    pub steps: Vec<StoreStep>,
}

/// One thing that was tried with a store.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StoreStep {
    /// What.
    pub name: String,
    /// How it went.
    pub outcome: String,
    /// How long it took.
    pub duration_ms: i64,
    /// What is wrong.
    pub problem: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

/// Why the next backup of an instance has not started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// Why, for programs.
    pub reason: String,
    /// Why, for people.
    pub summary: String,
    /// What to do next.
    pub advice: Option<String>,
    /// Since when.
    pub since: Option<String>,
    /// When something happens.
    pub next_at: Option<String>,
    /// The limit it waits for.
    pub limit: Option<ExplanationLimit>,
    /// The operation it waits behind.
    pub behind: Option<ExplanationBehind>,
    /// The attempts to start it.
    pub attempts: Option<ExplanationAttempts>,
    /// When the schedule asks for the next one.
    pub next_scheduled_at: Option<String>,
}

/// A limit that binds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExplanationLimit {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: i64,
    /// What runs under it.
    pub running: i64,
    /// Those of the same owner that come earlier.
    pub ahead: i64,
}

/// An operation in front.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExplanationBehind {
    /// `backup` or `restore`.
    pub kind: String,
    /// Number.
    pub id: i64,
    /// It runs; else it waits.
    pub is_running: bool,
    /// Since when.
    pub since: String,
}

/// Attempts to start a backup.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExplanationAttempts {
    /// How many were made.
    pub made: i64,
    /// Of how many.
    pub of: i64,
    /// What was wrong with the last one.
    pub last_error: Option<String>,
}
