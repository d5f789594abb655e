//! `/instances/{instance_id}/config`

use actix_web::HttpResponse;
use backup_core::actions::inspect;

use crate::handlers::{Answer, Core};
use crate::path::OfInstance;
use crate::views::instance_config::InstanceConfigView;

/// Shows what applies to the instance.
pub(crate) async fn show(core: Core, of: OfInstance) -> Answer {
    let instance = inspect::instance(&core, &of.guid).await?;
    Ok(HttpResponse::Ok().json(InstanceConfigView::new(core.policy(), instance)))
}
