//! `/instances/{instance_id}/backups/{id}/hold`

use actix_web::HttpResponse;
use backup_core::actions::hold_backup::hold_backup;
use backup_core::actions::release_backup::release_backup;

use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::handlers::{Answer, Core};
use crate::path::OfBackup;
use crate::views::hold::HoldView;
use crate::views::message::Message;

/// Places a hold, or replaces the one there is. A misspelt `until` would hold for ever, so unknown fields are refused.
pub(crate) async fn update(core: Core, caller: Caller, of: OfBackup, fields: Fields) -> Answer {
    fields.only(&["reason", "until"])?;
    let missing = || ApiError::bad_request("reason is needed: say why the backup must stay.");
    let reason = fields.text("reason")?.ok_or_else(missing)?;
    let hold = hold_backup(&core, &caller.0, &of.guid, of.id, reason, fields.time("until")?).await?;
    Ok(HttpResponse::Ok().json(HoldView::from(hold)))
}

/// Takes a hold back.
pub(crate) async fn delete(core: Core, caller: Caller, of: OfBackup) -> Answer {
    let message = match release_backup(&core, &caller.0, &of.guid, of.id).await? {
        Some(_) => "hold released",
        None => "the backup was not held",
    };
    Ok(HttpResponse::Ok().json(Message { message }))
}
