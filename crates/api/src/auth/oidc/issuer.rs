//! Fetches the keys of an issuer: bounded in time and size, past no redirect and no proxy, because whoever answers here
//! decides who gets in.

use std::time::Duration;

use backup_config::OidcSettings;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use serde_json::Value;

use super::keys::{self, Key};

/// Until the connection stands.
const CONNECT: Duration = Duration::from_secs(3);
/// Until the last byte of an answer.
const TOTAL: Duration = Duration::from_secs(5);
/// Largest answer.
const LARGEST: usize = 256 * 1024;

/// Why `auth.oidc` cannot be used: a matter of configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of certificate authorities cannot be read.
    #[error("auth.oidc.ca_path: found a file that cannot be read; allowed: a readable PEM file")]
    Unreadable(#[source] std::io::Error),
    /// The file holds no certificate.
    #[error("auth.oidc.ca_path: found no certificate; allowed: a PEM file with at least one")]
    Empty,
    /// The HTTP library refused the settings.
    #[error("auth.oidc.ca_path: found authorities that cannot be used; allowed: a PEM file of certificates")]
    Unusable(#[from] reqwest::Error),
}

/// Why the keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the issuer cannot be reached, or took too long")]
    Away(#[from] reqwest::Error),
    #[error("the issuer answered {0}")]
    Status(u16),
    #[error("the issuer's answer is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("the issuer's answer is no JSON")]
    NoJson,
    #[error("the issuer's description is not that of auth.oidc.issuer")]
    OtherIssuer,
    #[error("the issuer's description names no safe jwks_uri (https, or http to a loopback address)")]
    NoKeysUrl,
    #[error("the issuer has no key of a known kind for signatures")]
    NoKey,
}

/// Where the keys are.
pub(super) struct Issuer {
    name: String,
    jwks_url: Option<String>,
    client: Client,
}

impl Issuer {
    pub(super) fn new(settings: &OidcSettings) -> Result<Self, SetupError> {
        let client = match &settings.ca_path {
            Some(path) => {
                let pem = std::fs::read(path).map_err(SetupError::Unreadable)?;
                let authorities = Certificate::from_pem_bundle(&pem)?;
                if authorities.is_empty() {
                    return Err(SetupError::Empty);
                }
                builder().tls_certs_only(authorities).build()?
            }
            // A host without any authority can still reach an issuer on a loopback address.
            None => builder().build().or_else(|_| builder().tls_certs_only([]).build())?,
        };
        Ok(Self { name: settings.issuer.clone(), jwks_url: settings.jwks_url.clone(), client })
    }

    /// The keys for signatures that the issuer has now.
    pub(super) async fn fetch(&self) -> Result<Vec<Key>, FetchError> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let answer = self.get(&url).await?;
        let keys = answer.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let keys: Vec<Key> = keys.iter().filter_map(keys::read).collect();
        if keys.is_empty() { Err(FetchError::NoKey) } else { Ok(keys) }
    }

    async fn discover(&self) -> Result<String, FetchError> {
        let url = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let description = self.get(&url).await?;
        if description.get("issuer").and_then(Value::as_str) != Some(&self.name) {
            return Err(FetchError::OtherIssuer);
        }
        let keys = description.get("jwks_uri").and_then(Value::as_str);
        keys.filter(|url| OidcSettings::is_safe_url(url)).map(str::to_owned).ok_or(FetchError::NoKeysUrl)
    }

    async fn get(&self, url: &str) -> Result<Value, FetchError> {
        let mut answer = self.client.get(url).header("Accept", "application/json").send().await?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len().saturating_add(chunk.len()) > LARGEST {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| FetchError::NoJson)
    }
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("a9s-backup-manager/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        // A kept connection would belong to the thread that opened it.
        .pool_max_idle_per_host(0)
}
