//! `/instances/{instance_id}/explain`

use actix_web::HttpResponse;
use backup_core::actions::explain::explain;

use crate::handlers::{Answer, Core};
use crate::path::OfInstance;
use crate::views::explanation::ExplanationView;

/// Says why the instance's next backup has not started.
pub(crate) async fn show(core: Core, of: OfInstance) -> Answer {
    let (explanation, facts) = explain(&core, &of.guid).await?;
    Ok(HttpResponse::Ok().json(ExplanationView::new(of.guid.as_str(), explanation, facts)))
}
