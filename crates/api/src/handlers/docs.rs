//! `GET /docs/…`: the API's description for people. Swagger UI, compiled into the program, reads `/openapi.json`;
//! nothing comes from the internet, and the page may load nothing from elsewhere.

use std::sync::{Arc, LazyLock};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentEncoding};
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::Answer;
use crate::error::ApiError;

/// Swagger UI sets styles inline and has pictures in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["../openapi.json"]);
    // Without a validator, which would be on the internet.
    Arc::new(config.validator_url("none").display_operation_id(true).doc_expansion("list").use_base_layout())
});

/// Leads to the page; relative, because a proxy may have put the API below a path.
pub(crate) async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "docs/")).finish()
}

/// Shows the page, or a file that belongs to it.
pub(crate) async fn show(name: web::Path<String>) -> Answer {
    let found = utoipa_swagger_ui::serve(&name, CONFIG.clone()).map_err(|error| {
        tracing::error!(%error, "the documentation page cannot be made");
        ApiError::for_status(StatusCode::INTERNAL_SERVER_ERROR)
    })?;
    let file = found.ok_or_else(|| ApiError::for_status(StatusCode::NOT_FOUND))?;
    let mut answer = HttpResponse::Ok();
    if file.gzpipped {
        answer.insert_header(ContentEncoding::Gzip);
    }
    Ok(answer
        .content_type(file.content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(file.bytes.into_owned()))
}
