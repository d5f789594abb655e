//! `POST /backup_agent/backup_all`: backs up every instance.

use actix_web::HttpResponse;
use backup_core::actions::request_backup_all::request_backup_all;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::views::message::Message;

/// Enqueues one `backup_all_job`.
pub(crate) async fn create(core: Core, caller: Caller, _fields: Fields) -> Answer {
    request_backup_all(&core, &caller.0).await?;
    Ok(HttpResponse::Accepted().json(Message { message: "job to backup all instances is queued" }))
}
