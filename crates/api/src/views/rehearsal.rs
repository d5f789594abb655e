//! The rehearsal object.

use backup_core::domain::rehearsal::{Check, Rehearsal, Verdict, Verification};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;

use super::schema::{example_time, restore_status, time, time_or_null, words};
use super::{Timestamp, View};

/// A rehearsal: the backup is restored into a scratch data service, looked at, and thrown away again.
#[derive(Serialize, ToSchema)]
#[schema(as = Rehearsal)]
pub(crate) struct RehearsalView {
    /// The number of the rehearsal.
    #[schema(minimum = 1)]
    id: i64,
    /// The number of the backup.
    #[schema(minimum = 1)]
    backup_id: i64,
    #[schema(schema_with = restore_status)]
    status: &'static str,
    /// Asked for by the schedule, not by somebody.
    scheduled: bool,
    /// When it was asked for.
    #[schema(schema_with = time)]
    triggered_at: Timestamp,
    #[schema(schema_with = time_or_null)]
    started_at: Option<Timestamp>,
    #[schema(schema_with = time_or_null)]
    finished_at: Option<Timestamp>,
    /// Why it failed, for a program.
    reason_code: Option<String>,
    /// The same for a person.
    msg: Option<String>,
    /// Plain bytes loaded so far.
    #[schema(minimum = 0)]
    bytes_processed: Option<i64>,
    /// What `bytes_processed` is expected to become.
    #[schema(minimum = 0)]
    total_bytes_estimate: Option<i64>,
    /// All of it at the agent, in milliseconds.
    #[schema(minimum = 0)]
    duration_ms: Option<i64>,
    /// Of these, until the data was in place: what a restore takes.
    #[schema(minimum = 0)]
    restore_ms: Option<i64>,
    /// What was looked at.
    #[schema(inline)]
    checks: Vec<CheckView>,
}

#[derive(Serialize, ToSchema)]
struct CheckView {
    /// What.
    name: String,
    #[schema(schema_with = check_outcome)]
    outcome: String,
    /// For a person.
    detail: String,
}

/// What rehearsals say of a backup.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationView {
    /// Of the newest rehearsal that says something about the backup.
    #[schema(schema_with = verdict)]
    pub(crate) verdict: &'static str,
    /// How long the restore took in the last one that passed, in milliseconds.
    #[schema(minimum = 0)]
    pub(crate) restore_ms: Option<i64>,
}

fn check_outcome() -> Schema {
    words(&["passed", "failed", "skipped"])
}

fn verdict() -> Schema {
    words(&Verdict::ALL.map(Verdict::as_str))
}

impl From<&Verification> for VerificationView {
    fn from(verification: &Verification) -> Self {
        Self { verdict: verification.verdict.as_str(), restore_ms: verification.restore_ms }
    }
}

impl View for RehearsalView {
    fn example() -> Self {
        let detail = "48213 rows of 17 tables in 3 databases were read".to_owned();
        Self {
            id: 1,
            backup_id: 1,
            status: "done",
            scheduled: true,
            triggered_at: example_time(3600),
            started_at: Some(example_time(3603)),
            finished_at: Some(example_time(3650)),
            reason_code: None,
            msg: None,
            bytes_processed: Some(4_194_304),
            total_bytes_estimate: Some(4_194_304),
            duration_ms: Some(41_250),
            restore_ms: Some(33_100),
            checks: vec![CheckView { name: "tables".to_owned(), outcome: "passed".to_owned(), detail }],
        }
    }
}

impl From<Rehearsal> for RehearsalView {
    fn from(rehearsal: Rehearsal) -> Self {
        Self {
            id: rehearsal.id.0,
            backup_id: rehearsal.backup.0,
            status: rehearsal.status.as_str(),
            scheduled: rehearsal.is_scheduled,
            triggered_at: Timestamp(rehearsal.triggered_at),
            started_at: rehearsal.started_at.map(Timestamp),
            finished_at: rehearsal.finished_at.map(Timestamp),
            bytes_processed: rehearsal.started_at.map(|_| rehearsal.bytes_processed),
            reason_code: rehearsal.reason_code,
            msg: rehearsal.msg,
            total_bytes_estimate: rehearsal.total_bytes_estimate,
            duration_ms: rehearsal.duration_ms,
            restore_ms: rehearsal.restore_ms,
            checks: rehearsal.checks.into_iter().map(CheckView::from).collect(),
        }
    }
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        Self { name: check.name, outcome: check.outcome, detail: check.detail }
    }
}
