//! The user behind a request, in the words of the core's audit trail.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use backup_core::domain::actor::Actor;

use super::authenticator::User;
use crate::error::ApiError;
use crate::middleware::RequestId;

/// Extracts who asks, for actions that record it.
pub(crate) struct Caller(pub(crate) Actor);

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        // Only a route outside of the authentication could lack the user: refuse rather than act for nobody.
        let Some(user) = extensions.get::<User>() else { return ready(Err(ApiError::unauthorized())) };
        ready(Ok(Self(Actor {
            name: user.name.clone(),
            address: request.peer_addr().map(|address| address.ip().to_string()),
            request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
        })))
    }
}
