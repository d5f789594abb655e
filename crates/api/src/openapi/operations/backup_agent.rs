//! `/backup_agent/…`: the first generation of the operator's API.

use actix_web::http::StatusCode;
use serde_json::json;

use crate::openapi::body::{Fields, guid, ignored, integer};
use crate::openapi::description::{Answer, Description, Tag};
use crate::views::message::{Begun, Message, RestoreBegun};
use crate::views::schema::EXAMPLE_GUID;
use crate::word::Word;

const TAG: Tag = Tag::Operators;

pub(crate) fn backup_all() -> Description {
    let text =
        "Enqueues one job that asks for a backup of every instance that takes part in the scheduled ones.";
    Description::new("backUpAll", TAG, "Back up every instance", text).body(ignored()).answers(
        StatusCode::ACCEPTED,
        Answer::like("The job is queued.", Message { message: "job to backup all instances is queued" }),
    )
}

pub(crate) fn backup() -> Description {
    let body = Fields::any()
        .required("instance_guid", guid("The platform's GUID of the instance."))
        .named("BackupRequest", json!({"instance_guid": EXAMPLE_GUID}));
    Description::new("createBackupByGuid", TAG, "Back up the instance in the body", "Records the wish.")
        .body(body)
        .answers(StatusCode::CREATED, Answer::one::<Begun>("The backup is recorded."))
        .words([Word::NotFound, Word::Gone])
}

pub(crate) fn restores() -> Description {
    let body = Fields::only()
        .required("backup_id", integer("The number of the backup.", i64::MIN..=i64::MAX))
        .required("instance_id", integer("The internal number of the instance.", i64::MIN..=i64::MAX))
        .named("RestoreByNumberRequest", json!({"backup_id": 1, "instance_id": 1}));
    let text = "Records the restore of any backup into the instance with the internal number.";
    Description::new("createRestoreByNumber", TAG, "Restore a backup, both given by number", text)
        .body(body)
        .answers(StatusCode::CREATED, Answer::one::<RestoreBegun>("The restore is recorded."))
        .words([
            Word::NotFound,
            Word::RestoreInProgress,
            Word::Gone,
            Word::BackupNonRestorableState,
            Word::DataServiceMismatch,
        ])
}
