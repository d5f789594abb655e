//! `/instances/{instance_id}/restores/…`

use actix_web::http::StatusCode;
use serde_json::json;

use crate::openapi::body::{Fields, guid, ignored, time};
use crate::openapi::description::{Answer, Description, Tag};
use crate::views::message::{Id, Message};
use crate::views::restore::RestoreView;
use crate::word::Word;

const TAG: Tag = Tag::Restores;

pub(crate) fn list() -> Description {
    Description::new("listRestores", TAG, "List the restores into an instance", "Newest first.")
        .answers(StatusCode::OK, Answer::list::<RestoreView>("The restores."))
}

pub(crate) fn create() -> Description {
    let text = "Restores what was committed up to a moment, which must be in the window that `pitr` shows. The base backup that serves the moment is chosen by the manager.";
    let body = Fields::only()
        .required("recovery_target_time", time("The moment."))
        .optional(
            "source_instance_id",
            guid("The GUID of another instance of the same data service: restore what that instance held at the moment."),
        )
        .named("RestoreToMomentRequest", json!({"recovery_target_time": "2026-02-01T01:30:00.000Z"}));
    Description::new("createRestoreToMoment", TAG, "Restore to a moment", text)
        .body(body)
        .answers(StatusCode::ACCEPTED, Answer::one::<Id>("The restore is recorded."))
        .words([
            Word::RestoreInProgress,
            Word::Gone,
            Word::BackupNonRestorableState,
            Word::DataServiceMismatch,
            Word::InvalidValue,
        ])
}

pub(crate) fn show() -> Description {
    Description::new("showRestore", TAG, "Show a restore", "How far it is, and how it ended.")
        .answers(StatusCode::OK, Answer::one::<RestoreView>("The restore."))
}

pub(crate) fn cancel() -> Description {
    let text = "Records the wish. The restore ends `failed` with the reason `cancelled`, unless it was done before the agent heard of it.";
    Description::new("cancelRestore", TAG, "Cancel a restore", text)
        .body(ignored())
        .answers(
            StatusCode::ACCEPTED,
            Answer::like("It will be cancelled.", Message { message: "the restore is being cancelled" }),
        )
        .words([Word::NotCancellable])
}
