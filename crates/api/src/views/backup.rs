//! The backup object of spec 2.1.

use backup_core::Manager;
use backup_core::domain::backup::Backup;
use serde::Serialize;

use super::Timestamp;

const REFUSED_REMOVAL: &str = "Its data could not be removed from the store; it will be tried again.";

/// A backup.
#[derive(Serialize)]
pub(crate) struct BackupView {
    id: i64,
    backup_id: String,
    size: i64,
    status: &'static str,
    triggered_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    downloadable: bool,
    reason_code: Option<String>,
    msg: Option<String>,
    bytes_processed: Option<i64>,
    total_bytes_estimate: Option<i64>,
    checksum: Option<String>,
}

impl BackupView {
    pub(crate) fn new(manager: &Manager, backup: Backup) -> Self {
        Self {
            downloadable: is_downloadable(manager, &backup),
            id: backup.id.0,
            size: backup.size,
            status: backup.status.as_str(),
            triggered_at: Timestamp(backup.triggered_at),
            started_at: backup.started_at.map(Timestamp),
            finished_at: backup.finished_at.map(Timestamp),
            bytes_processed: backup.started_at.map(|_| backup.bytes_processed),
            total_bytes_estimate: backup.total_bytes_estimate,
            backup_id: backup.backup_id,
            reason_code: backup.reason_code,
            // A failed removal stays visible (spec 1.4); its reason is the operator's business.
            msg: backup.removal_error.map(|_| REFUSED_REMOVAL.to_owned()).or(backup.msg),
            checksum: backup.checksum,
        }
    }
}

/// The rule of the core, under the operator's switch.
pub(crate) fn is_downloadable(manager: &Manager, backup: &Backup) -> bool {
    manager.policy().allow_backup_download && backup.is_downloadable()
}
