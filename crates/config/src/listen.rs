//! `listen`: the addresses of the API and its certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

use backup_daemon::config::Mistake;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

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
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            http: Some(SocketAddr::from(([0, 0, 0, 0], 3000))),
            https: Some(SocketAddr::from(([0, 0, 0, 0], 3001))),
            certificate_path: None,
            key_path: None,
            trusted_proxies: Vec::new(),
        }
    }
}

impl ListenSettings {
    /// What is wrong with the listeners.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.http.is_none() && self.https.is_none() {
            mistakes.push(Mistake::new("listen", "http and https both null", "at least one address"));
        }
        if self.https.is_some() {
            let allowed =
                "both listen.certificate_path and listen.key_path as PEM files, or listen.https: null";
            let wanted = [("certificate_path", &self.certificate_path), ("key_path", &self.key_path)];
            for (key, _) in wanted.iter().filter(|(_, path)| path.is_none()) {
                mistakes.push(Mistake::new(format!("listen.{key}"), "nothing, while HTTPS is on", allowed));
            }
        }
        mistakes
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let allowed = "an IP address with a port, for example 0.0.0.0:3000 or [::]:3000, or null for none";
    text.parse().map(Some).map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &allowed))
}
