//! `/v1/…`, as far as it is not the same as `/instances/{instance_id}/…`.

use actix_web::http::StatusCode;
use serde_json::json;

use crate::openapi::Description;
use crate::openapi::body::{Fields, secret};
use crate::openapi::description::{Answer, Tag};
use crate::views::message::BackupGuid;
use crate::views::pitr::PitrView;
use crate::word::Word;

pub(crate) fn prepare_disaster_recovery() -> Description {
    let text = "Tells the name of the instance's folder in the backup store, and sets the owner's encryption key if one is given.";
    let body = Fields::only()
        .optional("encryption_key", secret("The owner's own key, of one line."))
        .named("DisasterRecoveryRequest", json!({"encryption_key": "a good long key"}));
    Description::new("prepareDisasterRecovery", Tag::Version1, "Prepare for a disaster", text)
        .body(body)
        .answers(StatusCode::OK, Answer::one::<BackupGuid>("The folder."))
        .words([Word::Gone, Word::InvalidValue, Word::EncryptionKeyTooShort])
}

pub(crate) fn pitr() -> Description {
    let text = "Any moment between the two can be restored to, with POST …/restores. 404 while no backup of the instance has a window: its `backup_type` is not `postgresql_wal`, or no base backup is done yet.";
    Description::new(
        "showPitrWindow",
        Tag::Version1,
        "Show to which moments an instance can be restored",
        text,
    )
    .answers(StatusCode::OK, Answer::one::<PitrView>("The window."))
}
