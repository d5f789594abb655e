//! `GET /v2/healthy`

use actix_web::HttpResponse;
use backup_core::actions::inspect;
use serde_json::json;

use crate::handlers::health::unhealthy;
use crate::handlers::{Answer, Core};

/// 200 when the database answers and every queue is served; else 503 and what is wrong. Brokers that failed lately
/// are named as a warning: they hold up nothing.
pub(crate) async fn show(core: Core) -> Answer {
    let health = inspect::health(&core).await?;
    if health.migrations_pending {
        return Err(unhealthy("The database's schema is older than this program.".to_owned()));
    }
    if !health.unserved_queues.is_empty() {
        return Err(unhealthy(format!("No running worker serves: {}.", health.unserved_queues.join(", "))));
    }
    let brokers: Vec<_> = health.broker_errors.into_iter().map(|(name, ..)| name).collect();
    Ok(HttpResponse::Ok().json(json!({"status": "healthy", "failing_service_brokers": brokers})))
}
