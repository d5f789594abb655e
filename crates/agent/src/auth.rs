//! The one credential of an agent. Compared in constant time, over digests, so that not even its length shows.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::web::Data;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::CredentialSection;
use crate::error::Error;

/// What a request must show, as a digest.
#[derive(Clone)]
pub(crate) struct Credential {
    scheme: &'static str,
    digest: [u8; 32],
}

impl Credential {
    pub(crate) fn new(section: &CredentialSection) -> Self {
        let (user, password) = (section.user.as_deref(), section.password.as_ref());
        match (&section.token, user, password) {
            (Some(token), _, _) => {
                Self { scheme: "bearer", digest: digest(token.expose_secret().as_bytes()) }
            }
            (None, user, password) => {
                let password = password.map(ExposeSecret::expose_secret).unwrap_or_default();
                let text = format!("{}:{password}", user.unwrap_or_default());
                Self { scheme: "basic", digest: digest(text.as_bytes()) }
            }
        }
    }

    /// Whether the value of an `Authorization` header is the credential.
    fn accepts(&self, header: &str) -> bool {
        let Some((scheme, value)) = header.split_once(' ') else { return false };
        let value = value.trim();
        let shown = match self.scheme {
            "basic" => BASE64_STANDARD.decode(value).unwrap_or_default(),
            _ => value.as_bytes().to_vec(),
        };
        let same: bool = digest(&shown).ct_eq(&self.digest).into();
        same && scheme.eq_ignore_ascii_case(self.scheme)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Middleware of every route: 401 without the credential.
pub(crate) async fn require(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let credential = request.app_data::<Data<Credential>>();
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match (credential, header) {
        (Some(credential), Some(header)) if credential.accepts(header) => next.call(request).await,
        _ => Err(Error::Unauthorized.into()),
    }
}
