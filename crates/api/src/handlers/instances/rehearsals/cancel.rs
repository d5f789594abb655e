//! `POST /instances/{instance_id}/rehearsals/{id}/cancel`

use actix_web::HttpResponse;
use backup_core::actions::cancel_operation::cancel_rehearsal;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::path::OfRehearsal;
use crate::views::message::Message;

/// Records the wish; the rehearsal ends `failed` with `cancelled`.
pub(crate) async fn create(core: Core, caller: Caller, of: OfRehearsal, _fields: Fields) -> Answer {
    cancel_rehearsal(&core, &caller.0, &of.guid, of.id).await?;
    Ok(HttpResponse::Accepted().json(Message { message: "the rehearsal is being cancelled" }))
}
