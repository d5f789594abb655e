//! What is wrong with a store's configuration although every key has the right form.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Connection, StoreConfig};
use crate::layout::check_path;

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, below the store's name.
    pub key: &'static str,
    /// What stands there; never a secret.
    pub found: String,
    /// What may stand there.
    pub allowed: &'static str,
}

impl ConfigFault {
    fn new(key: &'static str, found: impl Into<String>, allowed: &'static str) -> Self {
        Self { key, found: found.into(), allowed }
    }
}

impl StoreConfig {
    /// Every mistake that can be found without contacting the provider.
    pub fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        if let Some(prefix) = self.prefix().filter(|prefix| check_path("prefix", prefix).is_err()) {
            let allowed = "folders of A-Z a-z 0-9 . _ - = + @, with / between them";
            faults.push(ConfigFault::new("prefix", prefix, allowed));
        }
        match self {
            Self::Local { .. } => {}
            Self::S3(s3) => {
                named("bucket", &s3.bucket, &mut faults);
                endpoint(s3.endpoint.as_deref(), &s3.connection, &mut faults);
                match (&s3.access_key_id, filled(s3.secret_access_key.as_ref())) {
                    (Some(_), false) => {
                        faults.push(ConfigFault::new(
                            "secret_access_key",
                            "nothing",
                            "the key of access_key_id",
                        ));
                    }
                    (None, true) => {
                        faults.push(ConfigFault::new(
                            "access_key_id",
                            "nothing",
                            "the id of secret_access_key",
                        ));
                    }
                    _ => {}
                }
                if s3.session_token.is_some() && s3.access_key_id.is_none() {
                    faults.push(ConfigFault::new("session_token", "a text", "only with access_key_id"));
                }
            }
            Self::Azure(azure) => {
                named("account", &azure.account, &mut faults);
                named("container", &azure.container, &mut faults);
                endpoint(azure.endpoint.as_deref(), &azure.connection, &mut faults);
                if azure.access_key.is_some() && azure.sas_token.is_some() {
                    faults.push(ConfigFault::new("sas_token", "also access_key", "one of the two"));
                }
            }
            Self::Gcs(gcs) => {
                named("bucket", &gcs.bucket, &mut faults);
                endpoint(gcs.endpoint.as_deref(), &gcs.connection, &mut faults);
            }
        }
        faults
    }
}

fn filled(secret: Option<&SecretString>) -> bool {
    secret.is_some_and(|secret| !secret.expose_secret().is_empty())
}

fn named(key: &'static str, name: &str, faults: &mut Vec<ConfigFault>) {
    if name.is_empty() || name.contains(['/', ' ', '?', '#', ':']) {
        faults.push(ConfigFault::new(key, format!("{name:?}"), "its name alone, not an address"));
    }
}

fn endpoint(endpoint: Option<&str>, connection: &Connection, faults: &mut Vec<ConfigFault>) {
    let Some(text) = endpoint else { return };
    let allowed = "an address such as https://store.example.org:9000, without user, password or query";
    let fault = match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() || url.query().is_some() => {
            ConfigFault::new("endpoint", "an address with more in it", allowed)
        }
        Ok(url) if url.scheme() == "http" && !connection.allow_http => {
            ConfigFault::new("endpoint", "an address without TLS", "https, or allow_http: true beside it")
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return,
        _ => ConfigFault::new("endpoint", format!("{text:?}"), allowed),
    };
    faults.push(fault);
}
