//! Who may do what. [`require`] goes around everything but health: it finds out who asks, by a password of the
//! configuration (`authenticator.rs`) or by a token of the issuer (`oidc`), and lets auditors only read. [`admit`]
//! goes around every route: it keeps owners to their own instances. Handlers read the [`Caller`].

mod attempts;
mod authenticator;
mod caller;
mod client_address;
mod credentials;
mod oidc;
mod user;

use std::net::{IpAddr, Ipv4Addr};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use backup_config::{AuthSettings, Role};
use backup_core::Manager;
use backup_core::actions::inspect;
use ipnet::IpNet;

pub use authenticator::hash_password;
pub(crate) use caller::Caller;
pub(crate) use client_address::ClientAddress;
pub use oidc::SetupError;
pub(crate) use user::User;

use crate::error::ApiError;
use crate::path;
use attempts::Wait;
use authenticator::{Authenticator, Refused};
use client_address::TrustedProxies;
use credentials::Credentials;
use oidc::{Oidc, Refusal};

/// The paths on which tokens of the issuer are accepted.
const PUBLIC: &str = "/v1/";

/// Whom a route is for. Operators may use all of them, and auditors all that read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Nobody has to say who they are.
    Anyone,
    /// Operators alone.
    Operators,
    /// Owners, too: of the instance in the path. Where the path has none, the handler looks at the caller's scope.
    Owners,
}

/// All that is needed to know who asks.
pub(crate) struct Gate {
    authenticator: Authenticator,
    oidc: Option<Oidc>,
    proxies: TrustedProxies,
}

impl Gate {
    pub(crate) fn new(auth: &AuthSettings, proxies: &[IpNet]) -> Result<Self, SetupError> {
        Ok(Self {
            authenticator: Authenticator::new(&auth.users),
            oidc: auth.oidc.as_ref().map(Oidc::new).transpose()?,
            proxies: TrustedProxies::new(proxies),
        })
    }

    async fn identify(&self, request: &ServiceRequest) -> Result<User, ApiError> {
        let client = request.extensions().get::<ClientAddress>().and_then(|client| client.0);
        let client = client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let is_public = request.path().starts_with(PUBLIC);
        let refused = || match &self.oidc {
            Some(_) if is_public => ApiError::unauthorized().with_bearer_challenge(None),
            _ => ApiError::unauthorized(),
        };
        match Credentials::read(request.headers()).ok_or_else(refused)? {
            Credentials::Password(name, password) => {
                self.authenticator.verify(&name, password, client).await?.ok_or_else(refused)
            }
            Credentials::OwnerToken(name, token) => {
                let user = self.authenticator.verify(&name, token, client).await?;
                user.filter(|user| user.role == Role::Owner).ok_or_else(refused)
            }
            Credentials::Jwt(token) => match &self.oidc {
                None => Err(refused()),
                Some(_) if !is_public => {
                    Err(ApiError::unauthorized_because("A token of the issuer is accepted below /v1 only."))
                }
                Some(oidc) => identify_bearer(oidc, &token).await,
            },
        }
    }
}

/// Bad tokens are not counted: checking one costs little, guessing one is hopeless, and a client whose token has just
/// expired must not lock out its neighbours.
async fn identify_bearer(oidc: &Oidc, token: &str) -> Result<User, ApiError> {
    oidc.verify(token).await.map_err(|refusal| match refusal {
        Refusal::Invalid(reason) => {
            ApiError::unauthorized_because(reason).with_bearer_challenge(Some("invalid_token"))
        }
        Refusal::OwnsNothing(reason) => ApiError::forbidden(&reason),
        Refusal::Unavailable => ApiError::unavailable(),
    })
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooManyFailures(Wait(wait)) => {
                let description = "There were too many failed logins from this address; try again later.";
                Self::too_many_requests(description, wait)
            }
            Refused::Busy => {
                tracing::warn!("too many passwords wait to be verified; one was refused for now");
                Self::unavailable()
            }
        }
    }
}

/// Looks whether the settings can be used, without using them.
pub fn check_auth(auth: &AuthSettings) -> Result<(), SetupError> {
    Gate::new(auth, &[]).map(drop)
}

/// The client's address, as far as proxies are believed.
pub(crate) fn client_address(request: &ServiceRequest) -> ClientAddress {
    match request.app_data::<web::Data<Gate>>() {
        Some(gate) => gate.proxies.client_of(request),
        None => ClientAddress(request.peer_addr().map(|address| address.ip())),
    }
}

/// Lets a request pass only with good credentials, and an auditor's only if it reads.
pub(crate) async fn require(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let identified = match request.app_data::<web::Data<Gate>>().cloned() {
        Some(gate) => gate.identify(&request).await,
        None => Err(ApiError::unauthorized()),
    };
    let user = match identified {
        Ok(user) => user,
        Err(error) => return Ok(request.into_response(error.answer())),
    };
    let role = user.role;
    request.extensions_mut().insert(user);
    if role == Role::Auditor && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request.into_response(ApiError::forbidden("An auditor may only read.").answer()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Lets owners pass only on their routes, and only when the instance in the path is theirs. To them, an instance of
/// somebody else is one that does not exist.
pub(crate) async fn admit(
    audience: Audience,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match check(audience, &request).await {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => Ok(request.into_response(error.answer())),
    }
}

async fn check(audience: Audience, request: &ServiceRequest) -> Result<(), ApiError> {
    if audience == Audience::Anyone {
        return Ok(());
    }
    let user = request.extensions().get::<User>().cloned().ok_or_else(ApiError::unauthorized)?;
    if user.scope.limits().is_none() {
        return Ok(());
    }
    if audience == Audience::Operators {
        return Err(ApiError::forbidden("This path concerns the whole fleet; an owner may not use it."));
    }
    if request.match_info().get(path::INSTANCE_ID).is_none() {
        return Ok(());
    }
    let manager = request.app_data::<web::Data<Manager>>().cloned().ok_or_else(ApiError::unavailable)?;
    let guid = path::instance_of(request.request())?;
    Ok(inspect::check_visible(&manager, &user.scope, &guid).await?)
}
