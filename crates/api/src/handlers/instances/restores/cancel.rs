//! `POST /instances/{instance_id}/restores/{id}/cancel`

use actix_web::HttpResponse;
use backup_core::actions::cancel_operation::cancel_restore;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::path::OfRestore;
use crate::views::message::Message;

/// Records the wish; the restore ends `failed` with `cancelled`.
pub(crate) async fn create(core: Core, caller: Caller, of: OfRestore, _fields: Fields) -> Answer {
    cancel_restore(&core, &caller.0, &of.guid, of.id).await?;
    Ok(HttpResponse::Accepted().json(Message { message: "the restore is being cancelled" }))
}
