//! `/instances/{instance_id}/rehearsals` and `/instances/{instance_id}/rehearsals/{id}`.

pub(crate) mod cancel;

use actix_web::HttpResponse;
use backup_core::actions::inspect;

use crate::handlers::json_array::{Page, stream_pages};
use crate::handlers::{Answer, Core};
use crate::path::{OfInstance, OfRehearsal};
use crate::views::rehearsal::RehearsalView;

/// Lists the rehearsals of an instance's backups, newest first.
pub(crate) async fn list(core: Core, of: OfInstance) -> Answer {
    let instance = inspect::instance(&core, &of.guid).await?;
    stream_pages(None, move |before| {
        let core = core.clone();
        async move {
            let rehearsals = inspect::rehearsals_before(&core, instance.id, before).await?;
            let next = rehearsals.last().map(|last| Some(last.id));
            Ok(Page { elements: rehearsals.into_iter().map(RehearsalView::from).collect(), next })
        }
    })
    .await
}

/// Shows one rehearsal.
pub(crate) async fn show(core: Core, of: OfRehearsal) -> Answer {
    let rehearsal = inspect::rehearsal(&core, &of.guid, of.id).await?;
    Ok(HttpResponse::Ok().json(RehearsalView::from(rehearsal)))
}
