//! The restore object of spec 2.2.

use backup_core::domain::restore::Restore;
use serde::Serialize;

use super::Timestamp;

/// A restore; `backup_id` is the backup's number here, not its name.
#[derive(Serialize)]
pub(crate) struct RestoreView {
    id: i64,
    backup_id: i64,
    status: &'static str,
    triggered_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    metadata: Metadata,
    reason_code: Option<String>,
    msg: Option<String>,
    bytes_processed: Option<i64>,
    total_bytes_estimate: Option<i64>,
}

#[derive(Serialize)]
struct Metadata {
    restored_from: Timestamp,
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
