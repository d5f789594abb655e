//! `POST /v2/stores/{store}/check`

use actix_web::HttpResponse;
use backup_core::actions::check_store::check_store;

use crate::error::ApiError;
use crate::handlers::{Answer, Core};
use crate::path::OfStore;
use crate::views::store::StoreCheckView;

/// Lets the doctor examine a store.
pub(crate) async fn create(core: Core, of: OfStore) -> Answer {
    let found = check_store(&core, &of.name).await;
    let found = found.ok_or_else(|| ApiError::not_found("No configured store has this name."))?;
    Ok(HttpResponse::Ok().json(StoreCheckView::new(&of.name, found)))
}
