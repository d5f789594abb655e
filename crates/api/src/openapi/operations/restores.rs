//! `/instances/{instance_id}/restores/…`

use actix_web::http::StatusCode;

use crate::openapi::body::ignored;
use crate::openapi::description::{Answer, Description, Tag};
use crate::views::message::Message;
use crate::views::restore::RestoreView;
use crate::word::Word;

const TAG: Tag = Tag::Restores;

pub(crate) fn list() -> Description {
    Description::new("listRestores", TAG, "List the restores into an instance", "Newest first.")
        .answers(StatusCode::OK, Answer::list::<RestoreView>("The restores."))
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
