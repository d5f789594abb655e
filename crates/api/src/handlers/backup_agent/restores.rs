//! `POST /backup_agent/restores`: restores a backup into an instance, both given by their numbers.

use actix_web::HttpResponse;
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, request_restore};
use backup_core::domain::identifiers::{BackupId, ServiceInstanceId};

use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::handlers::{Answer, Core};
use crate::views::message::RestoreBegun;

/// Records a restore of `backup_id` into the instance with the internal number `instance_id`.
pub(crate) async fn create(core: Core, caller: Caller, fields: Fields) -> Answer {
    fields.only(&["backup_id", "instance_id"])?;
    let missing = |name: &str| ApiError::bad_request(format!("{name} is missing."));
    let backup = fields.integer("backup_id")?.ok_or_else(|| missing("backup_id"))?;
    let instance = fields.integer("instance_id")?.ok_or_else(|| missing("instance_id"))?;
    let target = RestoreTarget::Number(ServiceInstanceId(instance));
    let id = request_restore(&core, &caller.0, target, RestoreSource::Any, BackupId(backup)).await?;
    Ok(HttpResponse::Created().json(RestoreBegun { restore_id: id.0 }))
}
