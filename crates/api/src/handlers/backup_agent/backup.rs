//! `POST /backup_agent/backup`: backs up one instance, named in the body.

use actix_web::HttpResponse;
use backup_core::actions::request_backup::request_backup;

use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::handlers::{Answer, Core};
use crate::path;
use crate::views::message::Begun;

/// Records a backup of `instance_guid`.
pub(crate) async fn create(core: Core, caller: Caller, fields: Fields) -> Answer {
    let text =
        fields.text("instance_guid")?.ok_or_else(|| ApiError::bad_request("instance_guid is missing."))?;
    let guid = path::guid(&text)?;
    let requested = request_backup(&core, &caller.0, &guid, None).await?;
    Ok(HttpResponse::Created().json(Begun { id: requested.id.0, message: "job to backup is queued" }))
}
