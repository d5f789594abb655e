//! `GET /v2/catalogue/rebuilds/{id}`: how a rebuild of the catalogue stands.

pub(crate) mod findings;

use actix_web::HttpResponse;
use backup_core::actions::request_rebuild::show_rebuild;

use crate::handlers::{Answer, Core};
use crate::path::OfRebuild;
use crate::views::catalogue::RebuildView;

/// Progress and counts.
pub(crate) async fn show(core: Core, path: OfRebuild) -> Answer {
    let (rebuild, outcomes) = show_rebuild(&core, path.id).await?;
    Ok(HttpResponse::Ok().json(RebuildView::new(rebuild, outcomes)))
}
