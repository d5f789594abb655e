//! Reading a store's configuration. By hand, because a tagged enum of serde reads all keys into a buffer first and then
//! no longer knows which key a mistake belongs to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{AzureConfig, Connection, GcsConfig, S3Config, StoreConfig};

const LOCAL: &[&str] = &["kind", "directory"];
const S3: &[&str] = &[
    "kind",
    "bucket",
    "prefix",
    "region",
    "endpoint",
    "path_style",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "ca_path",
    "allow_http",
];
const AZURE: &[&str] = &[
    "kind",
    "account",
    "container",
    "prefix",
    "access_key",
    "sas_token",
    "endpoint",
    "ca_path",
    "allow_http",
];
const GCS: &[&str] =
    &["kind", "bucket", "prefix", "service_account_path", "endpoint", "ca_path", "allow_http"];

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Local,
    S3,
    Azure,
    Gcs,
}

/// The keys of one store as they were given; a key with `null` counts as absent.
#[derive(Default)]
struct Given {
    kind: Option<Kind>,
    texts: BTreeMap<String, String>,
    truths: BTreeMap<String, bool>,
    secrets: BTreeMap<String, SecretString>,
    unknown: Vec<String>,
}

impl<'de> Deserialize<'de> for StoreConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut given = deserializer.deserialize_map(Reading)?;
        let kind = given.kind.ok_or_else(|| D::Error::missing_field("kind"))?;
        let config = match kind {
            Kind::Local => {
                given.only(LOCAL)?;
                Self::Local { directory: PathBuf::from(given.required("directory")?) }
            }
            Kind::S3 => {
                given.only(S3)?;
                Self::S3(S3Config {
                    bucket: given.required("bucket")?,
                    prefix: given.text("prefix"),
                    region: given.text("region").unwrap_or_else(|| "us-east-1".to_owned()),
                    endpoint: given.text("endpoint"),
                    path_style: given.truth("path_style"),
                    access_key_id: given.text("access_key_id"),
                    secret_access_key: given.secret("secret_access_key"),
                    session_token: given.secret("session_token"),
                    connection: given.connection(),
                })
            }
            Kind::Azure => {
                given.only(AZURE)?;
                Self::Azure(AzureConfig {
                    account: given.required("account")?,
                    container: given.required("container")?,
                    prefix: given.text("prefix"),
                    access_key: given.secret("access_key"),
                    sas_token: given.secret("sas_token"),
                    endpoint: given.text("endpoint"),
                    connection: given.connection(),
                })
            }
            Kind::Gcs => {
                given.only(GCS)?;
                Self::Gcs(GcsConfig {
                    bucket: given.required("bucket")?,
                    prefix: given.text("prefix"),
                    service_account_path: given.text("service_account_path").map(PathBuf::from),
                    endpoint: given.text("endpoint"),
                    connection: given.connection(),
                })
            }
        };
        Ok(config)
    }
}

impl Given {
    /// Refuses what this kind of store does not know, although another may.
    fn only<E: Error>(&self, known: &'static [&'static str]) -> Result<(), E> {
        let given = self.texts.keys().chain(self.truths.keys()).chain(self.secrets.keys());
        match given.chain(&self.unknown).find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(E::unknown_field(key, known)),
            None => Ok(()),
        }
    }

    fn required<E: Error>(&mut self, key: &'static str) -> Result<String, E> {
        self.text(key).ok_or_else(|| E::missing_field(key))
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.texts.remove(key)
    }

    fn truth(&mut self, key: &str) -> bool {
        self.truths.remove(key).unwrap_or(false)
    }

    fn secret(&mut self, key: &str) -> Option<SecretString> {
        self.secrets.remove(key)
    }

    fn connection(&mut self) -> Connection {
        Connection { ca_path: self.text("ca_path").map(PathBuf::from), allow_http: self.truth("allow_http") }
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let mut given = Given::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "kind" => given.kind = Some(map.next_value()?),
                "path_style" | "allow_http" => {
                    given.truths.extend(map.next_value::<Option<bool>>()?.map(|truth| (key, truth)));
                }
                "secret_access_key" | "session_token" | "access_key" | "sas_token" => {
                    given.secrets.extend(map.next_value::<Option<SecretString>>()?.map(|s| (key, s)));
                }
                known if [LOCAL, S3, AZURE, GCS].iter().any(|keys| keys.contains(&known)) => {
                    given.texts.extend(map.next_value::<Option<String>>()?.map(|text| (key, text)));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    given.unknown.push(key);
                }
            }
        }
        Ok(given)
    }
}
