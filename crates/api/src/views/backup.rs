//! The backup object of spec 2.1.

use backup_core::Manager;
use backup_core::domain::backup::Backup;
use serde::Serialize;
use utoipa::ToSchema;

use super::hold::HoldView;
use super::rehearsal::VerificationView;
use super::schema::{EXAMPLE_BACKUP, backup_status, example_time, time, time_or_null};
use super::{Timestamp, View};

const REFUSED_REMOVAL: &str = "Its data could not be removed from the store; it will be tried again.";

/// A backup.
#[derive(Serialize, ToSchema)]
#[schema(as = Backup)]
pub(crate) struct BackupView {
    /// The number of the backup.
    #[schema(minimum = 1)]
    id: i64,
    /// The name of the backup towards agents and in the store.
    backup_id: String,
    /// Stored bytes; 0 until known.
    #[schema(minimum = 0)]
    size: i64,
    #[schema(schema_with = backup_status)]
    status: &'static str,
    /// When it was asked for.
    #[schema(schema_with = time)]
    triggered_at: Timestamp,
    #[schema(schema_with = time_or_null)]
    started_at: Option<Timestamp>,
    #[schema(schema_with = time_or_null)]
    finished_at: Option<Timestamp>,
    /// Whether the stored bytes can be downloaded.
    downloadable: bool,
    /// Why it failed, for a program.
    reason_code: Option<String>,
    /// The same for a person.
    msg: Option<String>,
    /// Plain bytes read so far.
    #[schema(minimum = 0)]
    bytes_processed: Option<i64>,
    /// What `bytes_processed` is expected to become.
    #[schema(minimum = 0)]
    total_bytes_estimate: Option<i64>,
    /// The hold that is in force, or null.
    #[schema(inline)]
    held: Option<HoldView>,
    /// SHA-256 over the stored bytes, in hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    checksum: Option<String>,
    /// When a rehearsal of the backup last passed, or null.
    #[schema(schema_with = time_or_null)]
    last_verified_at: Option<Timestamp>,
    /// What rehearsals say of it, or null.
    #[schema(inline)]
    verification: Option<VerificationView>,
}

impl View for BackupView {
    fn example() -> Self {
        Self {
            id: 1,
            backup_id: EXAMPLE_BACKUP.to_owned(),
            size: 1_048_576,
            status: "done",
            triggered_at: example_time(0),
            started_at: Some(example_time(2)),
            finished_at: Some(example_time(40)),
            downloadable: true,
            reason_code: None,
            msg: None,
            bytes_processed: Some(4_194_304),
            total_bytes_estimate: Some(4_200_000),
            held: None,
            checksum: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned()),
            last_verified_at: Some(example_time(3650)),
            verification: Some(VerificationView { verdict: "passed", restore_ms: Some(33_100) }),
        }
    }
}

impl BackupView {
    pub(crate) fn new(manager: &Manager, backup: Backup) -> Self {
        Self {
            downloadable: is_downloadable(manager, &backup),
            last_verified_at: backup.verification.as_ref().and_then(|v| v.last_verified_at).map(Timestamp),
            verification: backup.verification.as_ref().map(VerificationView::from),
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
            held: backup.hold.map(HoldView::from),
            checksum: backup.checksum,
        }
    }
}

/// The rule of the core, under the operator's switch.
pub(crate) fn is_downloadable(manager: &Manager, backup: &Backup) -> bool {
    manager.policy().allow_backup_download && backup.is_downloadable()
}
