//! `POST /instances/{instance_id}/backups/{id}/cancel`

use actix_web::HttpResponse;
use backup_core::actions::cancel_operation::cancel_backup;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::path::OfBackup;
use crate::views::message::Message;

/// Records the wish; the backup ends `failed` with `cancelled`.
pub(crate) async fn create(core: Core, caller: Caller, of: OfBackup, _fields: Fields) -> Answer {
    cancel_backup(&core, &caller.0, &of.guid, of.id).await?;
    Ok(HttpResponse::Accepted().json(Message { message: "the backup is being cancelled" }))
}
