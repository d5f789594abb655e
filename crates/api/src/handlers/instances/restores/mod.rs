//! `/instances/{instance_id}/restores` and `/instances/{instance_id}/restores/{id}`.

pub(crate) mod cancel;

use actix_web::HttpResponse;
use backup_core::actions::inspect;

use crate::handlers::json_array::{Page, stream_pages};
use crate::handlers::{Answer, Core};
use crate::path::{OfInstance, OfRestore};
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

/// Shows one restore.
pub(crate) async fn show(core: Core, of: OfRestore) -> Answer {
    let restore = inspect::restore(&core, &of.guid, of.id).await?;
    Ok(HttpResponse::Ok().json(RestoreView::from(restore)))
}
