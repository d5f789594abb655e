//! Who may do what: HTTP basic authentication against the users of the configuration, and their roles. Used as the
//! middleware [`require`] around everything but the health endpoints; handlers read the [`Caller`].

mod authenticator;
mod caller;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use backup_config::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use authenticator::hash_password;
pub(crate) use authenticator::{Authenticator, User};
pub(crate) use caller::Caller;

use crate::error::ApiError;

/// Lets a request pass only with good credentials, and an auditor's only if it reads.
pub(crate) async fn require(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let known = match (request.app_data::<web::Data<Authenticator>>().cloned(), credentials(&request)) {
        (Some(authenticator), Some((name, password))) => authenticator.verify(&name, password).await,
        _ => None,
    };
    let Some(user) = known else { return Ok(request.into_response(ApiError::unauthorized().answer())) };
    let role = user.role;
    request.extensions_mut().insert(user);
    if role == Role::Auditor && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request.into_response(ApiError::forbidden("An auditor may only read.").answer()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Reads `Authorization: Basic …`; none when it is absent or malformed.
fn credentials(request: &ServiceRequest) -> Option<(String, String)> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}
