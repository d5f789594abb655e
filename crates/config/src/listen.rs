//! `listen`: the addresses of the API, its certificate, and the bounds within which it serves connections.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use backup_daemon::config::Mistake;
use backup_daemon::duration::HumaneDuration;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use crate::bounds::Bounds;
use crate::trusted_proxies;

/// The `listen` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenSettings {
    /// Address for HTTP; `null` switches it off.
    #[serde(deserialize_with = "address")]
    pub http: Option<SocketAddr>,
    /// Address for HTTPS; `null` switches it off.
    #[serde(deserialize_with = "address")]
    pub https: Option<SocketAddr>,
    /// PEM file with the certificate chain, the server's own certificate first.
    pub certificate_path: Option<PathBuf>,
    /// PEM file with the private key.
    pub key_path: Option<PathBuf>,
    /// Whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "trusted_proxies::deserialize")]
    pub trusted_proxies: Vec<IpNet>,
    /// PEM bundle of the authorities whose client certificates are accepted over HTTPS; `null` asks for none.
    pub client_ca_path: Option<PathBuf>,
    /// Whether a client without a certificate is let in; means nothing without `client_ca_path`.
    pub client_certificates: ClientCertificates,
    /// How long the TLS handshake and the head of a request may take to arrive.
    pub request_header_timeout: HumaneDuration,
    /// How long a connection may wait for its next request.
    pub keep_alive: HumaneDuration,
    /// How long the reader of an answer may take none of it.
    pub write_timeout: HumaneDuration,
    /// Most connections of the process; further ones wait until others end.
    pub max_connections: i64,
    /// How long a stopping daemon goes on serving while `/readyz` says that it stops.
    pub drain: HumaneDuration,
    /// How long running answers get after that.
    pub shutdown_timeout: HumaneDuration,
}

/// What is asked of clients while `client_ca_path` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// No connection without a certificate.
    Required,
    /// A certificate is checked when there is one.
    Optional,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            http: Some(SocketAddr::from(([0, 0, 0, 0], 3000))),
            https: Some(SocketAddr::from(([0, 0, 0, 0], 3001))),
            certificate_path: None,
            key_path: None,
            trusted_proxies: Vec::new(),
            client_ca_path: None,
            client_certificates: ClientCertificates::Required,
            request_header_timeout: HumaneDuration::from_secs(10),
            keep_alive: HumaneDuration::from_secs(75),
            write_timeout: HumaneDuration::from_secs(300),
            max_connections: 10_000,
            drain: HumaneDuration::from_secs(5),
            shutdown_timeout: HumaneDuration::from_secs(30),
        }
    }
}

impl ListenSettings {
    /// What is wrong with the listeners.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut bounds = Bounds::default();
        let is_some = self.http.is_some() || self.https.is_some();
        bounds.require(is_some, "listen", "http and https both null", "at least one address");
        if self.https.is_some() {
            let allowed =
                "both listen.certificate_path and listen.key_path as PEM files, or listen.https: null";
            let wanted = [("certificate_path", &self.certificate_path), ("key_path", &self.key_path)];
            for (key, path) in wanted {
                let key = format!("listen.{key}");
                bounds.require(path.is_some(), &key, "nothing, while HTTPS is on", allowed);
            }
        }
        let is_asked = self.client_ca_path.is_none() || self.https.is_some();
        let allowed = "null, or an address in listen.https: there are client certificates over HTTPS only";
        bounds.require(is_asked, "listen.client_ca_path", "a path, while HTTPS is off", allowed);
        self.check_bounds(&mut bounds);
        bounds.mistakes
    }

    fn check_bounds(&self, bounds: &mut Bounds) {
        let (tick, second, minute) =
            (Duration::from_millis(50), Duration::from_secs(1), Duration::from_secs(60));
        let hour = minute.saturating_mul(60);
        let minutes = minute.saturating_mul(5);
        bounds.duration("listen.request_header_timeout", self.request_header_timeout, tick..=minutes);
        bounds.duration("listen.keep_alive", self.keep_alive, tick..=hour);
        bounds.duration("listen.write_timeout", self.write_timeout, second..=hour.saturating_mul(24));
        bounds.number("listen.max_connections", self.max_connections, 1..=1_000_000, "connections");
        bounds.duration("listen.drain", self.drain, Duration::ZERO..=minutes);
        bounds.duration("listen.shutdown_timeout", self.shutdown_timeout, Duration::ZERO..=hour);
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let allowed = "an IP address with a port, for example 0.0.0.0:3000 or [::]:3000, or null for none";
    text.parse().map(Some).map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &allowed))
}
