//! `GET /livez`: the process answers. `GET /readyz`: it can serve requests.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use backup_core::actions::inspect;
use serde_json::json;

use super::{Answer, Core};
use crate::error::ApiError;

/// Says that the process answers.
pub(crate) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// Says that the database answers and has the schema of this program.
pub(crate) async fn readyz(core: Core) -> Answer {
    let health = inspect::health(&core).await?;
    if health.migrations_pending {
        return Err(unhealthy("The database's schema is older than this program.".to_owned()));
    }
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}

/// 503 with what is wrong.
pub(crate) fn unhealthy(description: String) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Unhealthy", description)
}
