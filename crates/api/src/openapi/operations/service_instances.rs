//! `/service-instances/…`, deprecated; the list and the creation are the newer generations'.

use actix_web::http::StatusCode;
use serde_json::json;

use super::{backups, instances};
use crate::openapi::Description;
use crate::openapi::body::{Fields, integer, number_or_text};
use crate::openapi::description::{Answer, Tag};
use crate::views::message::RestoreBegun;
use crate::views::schema::EXAMPLE_GUID;
use crate::word::Word;

pub(crate) fn list() -> Description {
    instances::show().version_0("listBackupsV0")
}

pub(crate) fn create() -> Description {
    backups::create().version_0("createBackupV0")
}

pub(crate) fn restore() -> Description {
    let text = "Restores a backup of the instance in the path.";
    let body = Fields::any()
        .required("backup_id", integer("The number of the backup.", i64::MIN..=i64::MAX))
        .optional("instance_id", number_or_text("The instance to restore into, by its internal number or its GUID; without it, the one in the path."))
        .named("RestoreRequestV0", json!({"backup_id": 1, "instance_id": EXAMPLE_GUID}));
    Description::new("createRestoreV0", Tag::Version0, "Restore a backup", text)
        .body(body)
        .answers(StatusCode::OK, Answer::one::<RestoreBegun>("The restore is recorded."))
        .words([
            Word::RestoreInProgress,
            Word::Gone,
            Word::BackupNonRestorableState,
            Word::DataServiceMismatch,
        ])
}
