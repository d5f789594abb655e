//! `/v1/instances/{instance_id}/pitr`

use actix_web::HttpResponse;
use backup_core::actions::inspect;

use crate::handlers::{Answer, Core};
use crate::path::OfInstance;
use crate::views::pitr::PitrView;

/// Shows to which moments the instance can be restored.
pub(crate) async fn show(core: Core, of: OfInstance) -> Answer {
    let promise = inspect::promise(&core, &of.guid).await?;
    Ok(HttpResponse::Ok().json(PitrView::from(promise)))
}
