//! `GET /v2/healthy`

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::handlers::health::{Checkup, healthy};
use crate::handlers::{Answer, Core};
use crate::views::health::Healthy;

/// 200 when the database answers and every queue is served; else 503 and what is wrong. Brokers that failed lately
/// are named as a warning: they hold up nothing.
pub(crate) async fn show(core: Core, checkup: Data<Checkup>) -> Answer {
    let health = healthy(&core, &checkup).await?;
    let failing_service_brokers = health.broker_errors.into_iter().map(|(name, ..)| name).collect();
    Ok(HttpResponse::Ok().json(Healthy { status: "healthy", failing_service_brokers }))
}
