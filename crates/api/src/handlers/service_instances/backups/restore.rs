//! `POST /service-instances/{instance_id}/backups/restore`

use actix_web::HttpResponse;
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, request_restore};
use backup_core::domain::identifiers::{BackupId, ServiceInstanceId};

use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::handlers::{Answer, Core};
use crate::path::{self, OfInstance};
use crate::views::message::RestoreBegun;

/// Records a restore of `backup_id` of the instance in the path into `instance_id`, an internal number or a GUID.
pub(crate) async fn create(core: Core, caller: Caller, of: OfInstance, fields: Fields) -> Answer {
    let backup =
        fields.integer("backup_id")?.ok_or_else(|| ApiError::bad_request("backup_id is missing."))?;
    let target = match fields.text_or_number("instance_id")? {
        None => RestoreTarget::Guid(of.guid.clone()),
        Some(text) => match text.parse() {
            Ok(number) => RestoreTarget::Number(ServiceInstanceId(number)),
            Err(_) => RestoreTarget::Guid(path::guid(&text)?),
        },
    };
    let source = RestoreSource::Instance(of.guid);
    let id = request_restore(&core, &caller.0, target, source, BackupId(backup)).await?;
    Ok(HttpResponse::Ok().json(RestoreBegun { restore_id: id.0 }))
}
