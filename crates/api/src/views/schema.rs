//! What the type of a field does not say about its values, for the schemas of the OpenAPI document. The words come
//! from where the code has them.

use backup_core::domain::audit::AuditAction;
use backup_core::domain::backup::BackupStatus;
use backup_core::domain::catalogue::{FindingOutcome, RebuildStatus};
use backup_core::domain::deletion::RetentionAction;
use backup_core::domain::explanation::Reason;
use backup_core::domain::places::KeptFor;
use backup_core::domain::reconciliation::Class;
use backup_core::domain::restore::RestoreStatus;
use backup_core::jobs::QUEUES;
use backup_queue::overview::JobState;
use chrono::DateTime;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};

use super::Timestamp;

/// A JSON object of the API, with an example for its document.
pub(crate) trait View: Serialize + ToSchema {
    /// One that could be answered.
    fn example() -> Self;
}

/// The instance of all examples.
pub(crate) const EXAMPLE_GUID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
/// Its folder in the store.
pub(crate) const EXAMPLE_BACKUP_GUID: &str = "8d3b1f3a-51f5-4d2c-a4e5-3a3c9f0c7d11";
/// Its backup.
pub(crate) const EXAMPLE_BACKUP: &str = "8d3b1f3a-51f5-4d2c-a4e5-3a3c9f0c7d11-1681203168209";

/// A time of an example, some seconds after the others began.
pub(crate) fn example_time(seconds: i64) -> Timestamp {
    let milliseconds = seconds.saturating_mul(1000).saturating_add(1_681_203_168_209);
    Timestamp(DateTime::from_timestamp_millis(milliseconds).unwrap_or_default())
}

/// A time in UTC with milliseconds.
pub(crate) fn time() -> Schema {
    Schema::Object(time_object(Type::String.into()))
}

/// A time, or null.
pub(crate) fn time_or_null() -> Schema {
    Schema::Object(time_object([Type::String, Type::Null].into_iter().collect()))
}

fn time_object(kind: SchemaType) -> Object {
    ObjectBuilder::new()
        .schema_type(kind)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"))
        .build()
}

/// Where a backup stands.
pub(crate) fn backup_status() -> Schema {
    words(&BackupStatus::ALL.map(BackupStatus::as_str))
}

/// Where a restore stands.
pub(crate) fn restore_status() -> Schema {
    words(&RestoreStatus::ALL.map(RestoreStatus::as_str))
}

/// What retention does with a backup.
pub(crate) fn retention_action() -> Schema {
    words(&RetentionAction::ALL.map(RetentionAction::as_str))
}

/// What was done.
pub(crate) fn audit_action() -> Schema {
    words(&AuditAction::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>())
}

/// Where a rebuild of the catalogue stands.
pub(crate) fn rebuild_status() -> Schema {
    words(&RebuildStatus::ALL.map(RebuildStatus::as_str))
}

/// What became of a folder without a row.
pub(crate) fn finding_outcome() -> Schema {
    words(&FindingOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>())
}

/// The queues.
pub(crate) fn queue() -> Schema {
    words(&QUEUES)
}

/// Where a job stands.
pub(crate) fn job_state() -> Schema {
    words(&JobState::ALL.map(JobState::as_str))
}

/// How a long piece of the operator's work stands.
pub(crate) fn run_status() -> Schema {
    words(&["queued", "running", "done", "failed"])
}

/// What sort of thing a reconciliation says.
pub(crate) fn finding_class() -> Schema {
    words(&Class::ALL.map(Class::as_str))
}

/// Why a backup has not started.
pub(crate) fn explanation_reason() -> Schema {
    words(&Reason::ALL.map(Reason::as_str))
}

/// For whom the last places under a limit are kept, or null.
pub(crate) fn kept_for() -> Schema {
    let words = KeptFor::ALL.map(|kept_for| Some(kept_for.as_str())).into_iter().chain([None]);
    let kind: SchemaType = [Type::String, Type::Null].into_iter().collect();
    let object = ObjectBuilder::new().schema_type(kind).enum_values(Some(words.collect::<Vec<_>>()));
    Schema::Object(object.build())
}

/// The one word of a healthy part.
pub(crate) fn word(word: &str) -> Schema {
    words(&[word])
}

/// One of some words.
pub(crate) fn words(words: &[&str]) -> Schema {
    let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.to_vec()));
    Schema::Object(object.build())
}
