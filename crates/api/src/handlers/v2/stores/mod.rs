//! `GET /v2/stores`

pub(crate) mod check;

use actix_web::HttpResponse;

use crate::handlers::{Answer, Core};
use crate::views::store::StoreView;

/// Names the configured stores.
pub(crate) async fn list(core: Core) -> Answer {
    let views: Vec<StoreView> =
        core.stores().into_iter().map(|(name, kind)| StoreView::new(name, kind)).collect();
    Ok(HttpResponse::Ok().json(views))
}
