//! What both clients need of HTTP: a client that follows no redirect and asks no proxy, bounded answers, short texts.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response};
use secrecy::{ExposeSecret, SecretString};

use super::server_name;

/// Longest description of a refusal that is kept, in characters.
const DESCRIPTION_LIMIT: usize = 400;

/// How the other side's certificate is verified and how the manager identifies itself.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM bundle of the certificate authorities to trust; the system's are trusted when absent.
    pub ca_pem: Option<Vec<u8>>,
    /// The name the certificate must carry instead of the URL's host; needs [`TlsOptions::ca_pem`].
    pub server_name: Option<String>,
    /// PEM with the manager's own certificate chain and private key, for mutual TLS.
    pub identity_pem: Option<SecretString>,
}

/// Bounds on one request.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the last byte of the answer.
    pub total: Duration,
    /// Largest accepted answer.
    pub max_answer_bytes: usize,
}

/// Why a client could not be built: a matter of configuration.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The CA bundle holds no certificate.
    #[error("the CA bundle contains no certificate")]
    EmptyCaBundle,
    /// A server name without a CA bundle.
    #[error("a TLS server name can only be set together with a CA bundle")]
    ServerNameWithoutCa,
    /// The server name is neither a DNS name nor an address.
    #[error("{0:?} is not a valid TLS server name")]
    InvalidServerName(String),
    /// A PEM text cannot be read.
    #[error("the PEM text is not valid: {0}")]
    Pem(String),
    /// The TLS library refused the settings.
    #[error("the TLS settings are not usable")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refused the settings.
    #[error("the HTTP client cannot be built")]
    Http(#[from] reqwest::Error),
}

/// What becomes of a connection after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    /// It waits for the next request: there are few hosts, and many requests in a row.
    Kept,
    /// It is closed: there are thousands of hosts with a request now and then, and a connection that waits costs 30 KiB.
    Closed,
}

/// Builds the HTTP client of one broker configuration.
pub(super) fn build(
    tls: &TlsOptions,
    limits: &HttpLimits,
    connections: Connections,
) -> Result<Client, HttpSetupError> {
    let bounded =
        |limits| bounded(limits).pool_max_idle_per_host(usize::from(connections == Connections::Kept));
    if tls.server_name.is_some() && tls.ca_pem.is_none() {
        return Err(HttpSetupError::ServerNameWithoutCa);
    }
    if let (Some(ca), Some(name)) = (&tls.ca_pem, &tls.server_name) {
        let config = server_name::client_config(ca, name, tls.identity_pem.as_ref())?;
        return Ok(bounded(limits).tls_backend_preconfigured(config).build()?);
    }
    let with_identity = |builder: ClientBuilder| match &tls.identity_pem {
        Some(pem) => Identity::from_pem(pem.expose_secret().as_bytes()).map(|id| builder.identity(id)),
        None => Ok(builder),
    };
    if let Some(ca) = &tls.ca_pem {
        let certificates = Certificate::from_pem_bundle(ca)?;
        if certificates.is_empty() {
            return Err(HttpSetupError::EmptyCaBundle);
        }
        return Ok(with_identity(bounded(limits).tls_certs_only(certificates))?.build()?);
    }
    with_identity(bounded(limits))?.build().or_else(|error| {
        // A host without any CA certificate can still speak plain HTTP; every TLS connection then fails.
        tracing::warn!(%error, "The system's CA certificates cannot be loaded; TLS needs a CA bundle in the configuration.");
        Ok(with_identity(bounded(limits).tls_certs_only([]))?.build()?)
    })
}

fn bounded(limits: &HttpLimits) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("a9s-backup-manager/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .pool_idle_timeout(Duration::from_secs(30))
}

/// Why an answer's body could not be taken.
pub(super) enum BodyError {
    /// The connection broke or took too long.
    Broken(reqwest::Error),
    /// More bytes than allowed.
    TooLarge,
}

/// Reads a body up to `limit` bytes and stops there.
pub(super) async fn read_bounded(mut answer: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| BodyError::Broken(e.without_url()))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Makes a stranger's text fit for a log line or a message: one line, bounded, without control characters.
pub(super) fn tame(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.trim().chars().take(DESCRIPTION_LIMIT).map(clean).collect();
    if text.trim().chars().count() > DESCRIPTION_LIMIT {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_becomes_one_bounded_line() {
        assert_eq!(tame(" a\nb\u{1b}[31m "), "a b [31m");
        assert_eq!(tame(&"x".repeat(10_000)).chars().count(), DESCRIPTION_LIMIT + 1);
    }

    #[test]
    fn a_server_name_without_a_ca_bundle_is_refused() {
        let tls = TlsOptions { server_name: Some("agent".into()), ..TlsOptions::default() };
        let limits = HttpLimits { connect: Duration::ZERO, total: Duration::ZERO, max_answer_bytes: 0 };
        assert!(matches!(
            build(&tls, &limits, Connections::Closed),
            Err(HttpSetupError::ServerNameWithoutCa)
        ));
    }
}
