//! `GET /openapi.json`: the API's description for programs.

use actix_web::HttpResponse;

use super::Answer;
use crate::error::ApiError;
use crate::openapi;

/// Shows the document.
pub(crate) async fn show() -> Answer {
    let text = openapi::text().map_err(|error| {
        tracing::error!(error, "the OpenAPI document cannot be written");
        ApiError::for_status(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR)
    })?;
    Ok(HttpResponse::Ok().content_type("application/json").body(text))
}
