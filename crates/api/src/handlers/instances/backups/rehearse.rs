//! `POST /instances/{instance_id}/backups/{id}/rehearse`

use actix_web::HttpResponse;
use backup_core::actions::request_rehearsal::request_rehearsal;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::path::OfBackup;
use crate::views::message::Id;

/// Records a rehearsal, or answers the one that is on its way.
pub(crate) async fn create(core: Core, caller: Caller, of: OfBackup, _fields: Fields) -> Answer {
    let id = request_rehearsal(&core, &caller.0, &of.guid, of.id).await?;
    Ok(HttpResponse::Accepted().json(Id { id: id.0 }))
}
