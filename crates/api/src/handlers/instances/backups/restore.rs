//! `POST /instances/{instance_id}/backups/{id}/restore`

use actix_web::HttpResponse;
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, Wanted, request_restore};

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::path::{self, OfBackup};
use crate::views::message::Id;

/// Records a restore into the instance; `source_instance_id` names another instance as the backup's owner, and
/// `recovery_target_time` a moment in the backup's window.
pub(crate) async fn create(core: Core, caller: Caller, of: OfBackup, fields: Fields) -> Answer {
    fields.only(&["source_instance_id", "recovery_target_time"])?;
    let source = match fields.text("source_instance_id")? {
        Some(text) => RestoreSource::Instance(path::guid(&text)?),
        None => RestoreSource::Target,
    };
    let wanted = match fields.time("recovery_target_time")? {
        Some(moment) => Wanted::Moment(moment, Some(of.id)),
        None => Wanted::Backup(of.id),
    };
    let id = request_restore(&core, &caller.0, RestoreTarget::Guid(of.guid), source, wanted).await?;
    Ok(HttpResponse::Accepted().json(Id { id: id.0 }))
}
