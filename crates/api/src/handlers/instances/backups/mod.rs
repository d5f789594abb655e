//! `/instances/{instance_id}/backups` and `/instances/{instance_id}/backups/{id}`.

pub(crate) mod cancel;
pub(crate) mod download;
pub(crate) mod hold;
pub(crate) mod rehearse;
pub(crate) mod restore;
mod share;
pub(crate) mod undelete;

use actix_web::{HttpRequest, HttpResponse};
use backup_core::actions::delete_backup::delete_backup;
use backup_core::actions::inspect;
use backup_core::actions::request_backup::request_backup;

use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::handlers::json_array::{Page, stream_pages};
use crate::handlers::{Answer, Core};
use crate::path::{OfBackup, OfInstance};
use crate::views::backup::BackupView;
use crate::views::message::{Begun, Message};

/// Longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// Records a backup; the same `Idempotency-Key` gets the same backup for 24 hours.
pub(crate) async fn create(
    core: Core,
    caller: Caller,
    of: OfInstance,
    request: HttpRequest,
    _fields: Fields,
) -> Answer {
    let key = idempotency_key(&request)?;
    let requested = request_backup(&core, &caller.0, &of.guid, key).await?;
    let id = requested.id.0;
    Ok(match requested.is_new {
        true => HttpResponse::Created().json(Begun { id, message: "job to backup is queued" }),
        false => HttpResponse::Ok().json(Begun { id, message: "job to backup was queued before" }),
    })
}

/// Lists the backups of an instance, newest first.
pub(crate) async fn list(core: Core, of: OfInstance) -> Answer {
    let instance = inspect::instance(&core, &of.guid).await?;
    stream_pages(None, move |before| {
        let core = core.clone();
        async move {
            let backups = inspect::backups_before(&core, instance.id, before).await?;
            let next = backups.last().map(|last| Some(last.id));
            Ok(Page { elements: backups.into_iter().map(|b| BackupView::new(&core, b)).collect(), next })
        }
    })
    .await
}

/// Shows one backup.
pub(crate) async fn show(core: Core, of: OfBackup) -> Answer {
    let backup = inspect::backup(&core, &of.guid, of.id).await?;
    Ok(HttpResponse::Ok().json(BackupView::new(&core, backup)))
}

/// Deletes one backup, from the store first.
pub(crate) async fn delete(core: Core, caller: Caller, of: OfBackup) -> Answer {
    delete_backup(&core, &caller.0, &of.guid, of.id).await.map_err(ApiError::of_deletion)?;
    Ok(HttpResponse::Ok().json(Message { message: "backup deleted" }))
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let Some(header) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let key =
        header.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len()) && !key.contains('\t'));
    let wrong = || {
        ApiError::bad_request(format!(
            "Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters."
        ))
    };
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}
