//! `GET /v2/healthy`

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use crate::handlers::health::{Checkup, healthy};
use crate::handlers::{Answer, Core};

/// 200 when the database answers and every queue is served; else 503 and what is wrong. Brokers that failed lately
/// are named as a warning: they hold up nothing.
pub(crate) async fn show(core: Core, checkup: Data<Checkup>) -> Answer {
    let health = healthy(&core, &checkup).await?;
    let brokers: Vec<_> = health.broker_errors.into_iter().map(|(name, ..)| name).collect();
    Ok(HttpResponse::Ok().json(json!({"status": "healthy", "failing_service_brokers": brokers})))
}
