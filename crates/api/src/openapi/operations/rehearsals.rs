//! `/instances/{instance_id}/rehearsals/…` and `/instances/{instance_id}/backups/{id}/rehearse`

use actix_web::http::StatusCode;

use crate::openapi::body::ignored;
use crate::openapi::description::{Answer, Description, Tag};
use crate::views::message::{Id, Message};
use crate::views::rehearsal::RehearsalView;
use crate::word::Word;

const TAG: Tag = Tag::Rehearsals;

pub(crate) fn create() -> Description {
    let text = "Records the wish; a worker has the backup restored into a scratch data service beside the instance and looked at, as soon as nothing else of the instance runs or waits. What the instance holds is left alone. While a rehearsal of the backup is on its way, that one is answered.";
    let answer = Answer::one::<Id>("The rehearsal is recorded.")
        .link("showRehearsal", "$response.body#/id", "How it goes.")
        .link("cancelRehearsal", "$response.body#/id", "Stop it.");
    Description::new("rehearseBackup", TAG, "Rehearse a backup", text)
        .body(ignored())
        .answers(StatusCode::ACCEPTED, answer)
        .words([Word::Gone, Word::BackupNonRestorableState])
}

pub(crate) fn list() -> Description {
    Description::new("listRehearsals", TAG, "List the rehearsals of an instance's backups", "Newest first.")
        .answers(StatusCode::OK, Answer::list::<RehearsalView>("The rehearsals."))
}

pub(crate) fn show() -> Description {
    let text = "How far it is, how it ended, and what was found.";
    Description::new("showRehearsal", TAG, "Show a rehearsal", text)
        .answers(StatusCode::OK, Answer::one::<RehearsalView>("The rehearsal."))
}

pub(crate) fn cancel() -> Description {
    let text = "Records the wish. The rehearsal ends `failed` with the reason `cancelled`, unless it was done before the agent heard of it; of the backup that says nothing.";
    Description::new("cancelRehearsal", TAG, "Cancel a rehearsal", text)
        .body(ignored())
        .answers(
            StatusCode::ACCEPTED,
            Answer::like("It will be cancelled.", Message { message: "the rehearsal is being cancelled" }),
        )
        .words([Word::NotCancellable])
}
