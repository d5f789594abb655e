//! The restore object of spec 2.2.

use backup_core::domain::restore::Restore;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{example_time, restore_status, time, time_or_null};
use super::{Timestamp, View};

/// A restore; `backup_id` is the backup's number here, not its name.
#[derive(Serialize, ToSchema)]
#[schema(as = Restore)]
pub(crate) struct RestoreView {
    /// The number of the restore.
    #[schema(minimum = 1)]
    id: i64,
    /// The number of the backup.
    #[schema(minimum = 1)]
    backup_id: i64,
    #[schema(schema_with = restore_status)]
    status: &'static str,
    /// When it was asked for.
    #[schema(schema_with = time)]
    triggered_at: Timestamp,
    #[schema(schema_with = time_or_null)]
    started_at: Option<Timestamp>,
    #[schema(schema_with = time_or_null)]
    finished_at: Option<Timestamp>,
    #[schema(inline)]
    metadata: Metadata,
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
}

#[derive(Serialize, ToSchema)]
struct Metadata {
    /// When the backup was taken.
    #[schema(schema_with = time)]
    restored_from: Timestamp,
}

impl View for RestoreView {
    fn example() -> Self {
        Self {
            id: 1,
            backup_id: 1,
            status: "running",
            triggered_at: example_time(3600),
            started_at: Some(example_time(3603)),
            finished_at: None,
            metadata: Metadata { restored_from: example_time(0) },
            reason_code: None,
            msg: None,
            bytes_processed: Some(1_048_576),
            total_bytes_estimate: Some(4_194_304),
        }
    }
}

impl From<Restore> for RestoreView {
    fn from(restore: Restore) -> Self {
        Self {
            id: restore.id.0,
            backup_id: restore.backup.0,
            status: restore.status.as_str(),
            triggered_at: Timestamp(restore.triggered_at),
            started_at: restore.started_at.map(Timestamp),
            finished_at: restore.finished_at.map(Timestamp),
            metadata: Metadata { restored_from: Timestamp(restore.restored_from) },
            bytes_processed: restore.started_at.map(|_| restore.bytes_processed),
            reason_code: restore.reason_code,
            msg: restore.msg,
            total_bytes_estimate: restore.total_bytes_estimate,
        }
    }
}
