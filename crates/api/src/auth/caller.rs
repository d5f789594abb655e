//! The user behind a request, in the words of the core.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use backup_core::domain::actor::Actor;

use super::client_address::ClientAddress;
use super::user::User;
use crate::error::ApiError;
use crate::middleware::RequestId;

/// Extracts who asks, for actions that record it or look only at what exists for them.
pub(crate) struct Caller(pub(crate) Actor);

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        // Only a route outside of the authentication could lack the user: refuse rather than act for nobody.
        let Some(user) = extensions.get::<User>() else { return ready(Err(ApiError::unauthorized())) };
        let address = extensions.get::<ClientAddress>().and_then(|client| client.0);
        ready(Ok(Self(Actor {
            name: user.name.clone(),
            address: address.map(|address| address.to_string()),
            request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
            scope: user.scope.clone(),
        })))
    }
}
