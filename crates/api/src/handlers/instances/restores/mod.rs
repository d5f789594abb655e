//! `/instances/{instance_id}/restores` and `/instances/{instance_id}/restores/{id}`.

pub(crate) mod cancel;

use actix_web::HttpResponse;
use backup_core::actions::inspect;

use crate::handlers::{Answer, Core};
use crate::path::{OfInstance, OfRestore};
use crate::views::restore::RestoreView;

/// Lists the restores into an instance, newest first.
pub(crate) async fn list(core: Core, of: OfInstance) -> Answer {
    let restores = inspect::restores(&core, &of.guid).await?;
    let views: Vec<RestoreView> = restores.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}

/// Shows one restore.
pub(crate) async fn show(core: Core, of: OfRestore) -> Answer {
    let restore = inspect::restore(&core, &of.guid, of.id).await?;
    Ok(HttpResponse::Ok().json(RestoreView::from(restore)))
}
