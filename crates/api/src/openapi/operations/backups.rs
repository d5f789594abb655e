//! `/instances/{instance_id}/backups/…`

use actix_web::http::StatusCode;
use backup_core::domain::hold::LONGEST_REASON;
use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use crate::openapi::body::{Fields, guid, ignored, line, time};
use crate::openapi::description::{Answer, Description, Tag};
use crate::openapi::{headers, parameters};
use crate::views::backup::BackupView;
use crate::views::hold::HoldView;
use crate::views::message::{Begun, Id, Message};
use crate::views::schema::EXAMPLE_GUID;
use crate::word::Word;

const TAG: Tag = Tag::Backups;

pub(crate) fn list() -> Description {
    let text = "Newest first, and also those that are marked as deleted, as long as they can be undeleted.";
    Description::new("listBackups", TAG, "List the backups of an instance", text)
        .answers(StatusCode::OK, Answer::list::<BackupView>("The backups."))
}

pub(crate) fn create() -> Description {
    let text =
        "Records the wish; a worker starts the backup as soon as the instance is free. The body is not read.";
    let key = parameters::header(
        "Idempotency-Key",
        "The same key for the same instance answers the same backup for 24 hours.",
        ObjectBuilder::new()
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some(r"^[!-~]([ -~]*[!-~])?$")),
    );
    Description::new("createBackup", TAG, "Back up an instance", text)
        .parameter(key)
        .body(ignored())
        .answers(StatusCode::OK, begun("The backup that was recorded before under this `Idempotency-Key`."))
        .answers(StatusCode::CREATED, begun("The backup is recorded."))
        .words([Word::Gone])
}

fn begun(description: &'static str) -> Answer {
    Answer::one::<Begun>(description)
        .link("showBackup", "$response.body#/id", "How it goes.")
        .link("cancelBackup", "$response.body#/id", "Stop it.")
        .link("deleteBackup", "$response.body#/id", "Delete it, once it is finished.")
}

pub(crate) fn show() -> Description {
    Description::new("showBackup", TAG, "Show a backup", "How far it is, and how it ended.")
        .answers(StatusCode::OK, Answer::one::<BackupView>("The backup."))
}

pub(crate) fn delete() -> Description {
    let text = "Answers when the backup is gone from the store. 423 while a restore uses it or somebody holds it, and, where the operator wants it so, for the newest good backups. When the store refuses with 400 the backup stays `deleted`, and it is tried again hourly.";
    Description::new("deleteBackup", TAG, "Delete a backup", text)
        .answers(StatusCode::OK, Answer::like("It is deleted.", Message { message: "backup deleted" }))
        .words([Word::BadRequest, Word::BackupInProgress, Word::Locked])
}

pub(crate) fn cancel() -> Description {
    let text = "Records the wish. The backup ends `failed` with the reason `cancelled`, unless it was done before the agent heard of it.";
    Description::new("cancelBackup", TAG, "Cancel a backup", text)
        .body(ignored())
        .answers(
            StatusCode::ACCEPTED,
            Answer::like("It will be cancelled.", Message { message: "the backup is being cancelled" }),
        )
        .words([Word::NotCancellable])
}

pub(crate) fn undelete() -> Description {
    let text = "Takes an automatic deletion back, within the undo window.";
    Description::new("undeleteBackup", TAG, "Undelete a backup", text)
        .body(ignored())
        .answers(StatusCode::OK, Answer::like("It is `done` again.", Message { message: "backup undeleted" }))
        .words([Word::NotUndeletable])
}

pub(crate) fn hold() -> Description {
    let text = "As long as it is held, nothing deletes the backup: not retention, not a client, not the end of its instance. Replaces a hold that is there. Only operators change what an operator holds.";
    let body = Fields::only()
        .required("reason", line("Why the backup must stay.", LONGEST_REASON))
        .optional("until", time("When the hold ends by itself; without it, when it is released."))
        .named("HoldRequest", json!({"reason": "before the migration", "until": "2026-03-01T00:00:00Z"}));
    Description::new("holdBackup", TAG, "Hold a backup", text)
        .body(body)
        .answers(StatusCode::OK, Answer::one::<HoldView>("The hold that is in force."))
        .words([Word::NotHoldable, Word::InvalidValue])
}

pub(crate) fn release() -> Description {
    let text = "From now on the backup may be deleted again. One that is not held stays as it is.";
    Description::new("releaseBackup", TAG, "Release a held backup", text)
        .answers(StatusCode::OK, Answer::like("It is not held.", Message { message: "hold released" }))
}

pub(crate) fn download() -> Description {
    let text = "The stored bytes as one stream: compressed, and encrypted with the owner's key. The name in `Content-Disposition` says what has to be undone, last thing first.";
    let range = parameters::header(
        "Range",
        "`bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`. Whatever else is answered with everything.",
        ObjectBuilder::new(),
    );
    let if_range = parameters::header(
        "If-Range",
        "The `ETag` of an earlier answer: `Range` counts only if it is still the same.",
        ObjectBuilder::new(),
    );
    let range_of =
        headers::always("Which bytes.", Some("^bytes [0-9]+-[0-9]+/[0-9]+$"), "bytes 0-1023/1048576");
    Description::new("downloadBackup", TAG, "Download a backup", text)
        .parameter(range)
        .parameter(if_range)
        .answers(StatusCode::OK, bytes("All bytes."))
        .answers(StatusCode::PARTIAL_CONTENT, bytes("The range asked for.").header("Content-Range", range_of))
        .words([Word::NotDownloadable, Word::RangeNotSatisfiable, Word::BackupStoreFailed])
}

fn bytes(description: &str) -> Answer {
    let schema =
        ObjectBuilder::new().schema_type(Type::String).content_media_type("application/octet-stream");
    let content =
        ContentBuilder::new().schema(Some(schema)).example(Some(json!("age-encryption.org/v1"))).build();
    let response =
        ResponseBuilder::new().description(description).content("application/octet-stream", content);
    Answer::other(response)
        .header("Accept-Ranges", headers::always("Ranges are honoured.", Some("^bytes$"), "bytes"))
        .header(
            "ETag",
            headers::sometimes(
                "The checksum.",
                Some("^\"[0-9a-f]{64}\"$"),
                "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
            ),
        )
        .header(
            "Content-Disposition",
            headers::always(
                "A name for the file.",
                None,
                "attachment; filename=\"8d3b1f3a-1681203168209.zst.age\"",
            ),
        )
}

pub(crate) fn restore() -> Description {
    let text = "Records the wish; a worker starts the restore as soon as the instance is free. What the instance holds is replaced.";
    let body = Fields::only()
        .optional(
            "source_instance_id",
            guid("The GUID of another instance of the same data service, also of a deleted one: restore that instance's backup."),
        )
        .optional("recovery_target_time", time("A moment in the window of this base backup: restore what was committed by then."))
        .named("RestoreRequest", json!({"source_instance_id": EXAMPLE_GUID}));
    let answer = Answer::one::<Id>("The restore is recorded.")
        .link("showRestore", "$response.body#/id", "How it goes.")
        .link("cancelRestore", "$response.body#/id", "Stop it.");
    Description::new("createRestore", Tag::Restores, "Restore a backup", text)
        .body(body)
        .answers(StatusCode::ACCEPTED, answer)
        .words([
            Word::RestoreInProgress,
            Word::Gone,
            Word::BackupNonRestorableState,
            Word::DataServiceMismatch,
            Word::InvalidValue,
        ])
}
