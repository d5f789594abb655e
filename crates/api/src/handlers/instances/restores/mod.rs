//! `/instances/{instance_id}/restores` and `/instances/{instance_id}/restores/{id}`.

pub(crate) mod cancel;

use actix_web::HttpResponse;
use backup_core::actions::inspect;
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, Wanted, request_restore};

use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::handlers::json_array::{Page, stream_pages};
use crate::handlers::{Answer, Core};
use crate::path::{self, OfInstance, OfRestore};
use crate::views::message::Id;
use crate::views::restore::RestoreView;

/// Lists the restores into an instance, newest first.
pub(crate) async fn list(core: Core, of: OfInstance) -> Answer {
    let instance = inspect::instance(&core, &of.guid).await?;
    stream_pages(None, move |before| {
        let core = core.clone();
        async move {
            let restores = inspect::restores_before(&core, instance.id, before).await?;
            let next = restores.last().map(|last| Some(last.id));
            Ok(Page { elements: restores.into_iter().map(RestoreView::from).collect(), next })
        }
    })
    .await
}

/// Records a restore to a moment, from the base backup that serves it.
pub(crate) async fn create(core: Core, caller: Caller, of: OfInstance, fields: Fields) -> Answer {
    fields.only(&["source_instance_id", "recovery_target_time"])?;
    let moment = fields.time("recovery_target_time")?;
    let moment = moment.ok_or_else(|| ApiError::bad_request("The field recovery_target_time is missing."))?;
    let source = match fields.text("source_instance_id")? {
        Some(text) => RestoreSource::Instance(path::guid(&text)?),
        None => RestoreSource::Target,
    };
    let (target, wanted) = (RestoreTarget::Guid(of.guid), Wanted::Moment(moment, None));
    let id = request_restore(&core, &caller.0, target, source, wanted).await?;
    Ok(HttpResponse::Accepted().json(Id { id: id.0 }))
}

/// Shows one restore.
pub(crate) async fn show(core: Core, of: OfRestore) -> Answer {
    let restore = inspect::restore(&core, &of.guid, of.id).await?;
    Ok(HttpResponse::Ok().json(RestoreView::from(restore)))
}
