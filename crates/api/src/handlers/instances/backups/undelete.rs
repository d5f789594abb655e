//! `POST /instances/{instance_id}/backups/{id}/undelete`

use actix_web::HttpResponse;
use backup_core::actions::undelete_backup::undelete_backup;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::path::OfBackup;
use crate::views::message::Message;

/// Takes an automatic deletion back.
pub(crate) async fn create(core: Core, caller: Caller, of: OfBackup, _fields: Fields) -> Answer {
    undelete_backup(&core, &caller.0, &of.guid, of.id).await?;
    Ok(HttpResponse::Ok().json(Message { message: "backup undeleted" }))
}
