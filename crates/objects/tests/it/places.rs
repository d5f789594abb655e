//! Stores of every kind for tests, each with its server.

use std::sync::Arc;

use backup_objects::{Store, StoreConfig};
use private_stores::{Azurite, Moto, S3Server};
use serde_json::json;
use tempfile::TempDir;

/// A store and what keeps it alive.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) config: StoreConfig,
    _server: Arc<dyn std::any::Any>,
}

impl Place {
    fn new(name: &'static str, config: serde_json::Value, server: impl std::any::Any) -> Self {
        Self { name, config: serde_json::from_value(config).unwrap(), _server: Arc::new(server) }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open("main", &self.config).unwrap()
    }

    pub(crate) fn local() -> Self {
        let directory = TempDir::new().unwrap();
        Self::new("local", json!({"kind": "local", "directory": directory.path()}), directory)
    }

    pub(crate) async fn s3() -> Self {
        let server = S3Server::start().await.unwrap();
        let mut config = s3(&server.url());
        config["prefix"] = json!("manager/one");
        Self::new("s3", config, server)
    }

    pub(crate) fn moto() -> Option<Self> {
        let Some(server) = Moto::start().unwrap() else {
            println!("SKIPPED, S3 with versions: moto is not installed; `cargo xtask test` installs it");
            return None;
        };
        server.ask("PUT", "/backups", &[], "").unwrap();
        let versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        server.ask("PUT", "/backups?versioning", &[], versions).unwrap();
        let config = s3(server.url());
        Some(Self::new("s3 with versions", config, server))
    }

    pub(crate) fn azure() -> Option<Self> {
        let Some(server) = Azurite::start().unwrap() else {
            println!("SKIPPED, Azure: azurite is not installed; `cargo xtask test` installs it");
            return None;
        };
        let config = json!({
            "kind": "azure", "account": Azurite::ACCOUNT, "container": Azurite::CONTAINER, "prefix": "manager",
            "access_key": Azurite::KEY, "endpoint": server.url(), "allow_http": true,
        });
        Some(Self::new("azure", config, server))
    }

    /// One of each kind that can be had here.
    pub(crate) async fn all() -> Vec<Self> {
        let mut places = vec![Self::local(), Self::s3().await];
        places.extend(Self::moto());
        places.extend(Self::azure());
        places
    }
}

/// Configuration of an S3 store with the bucket and key of [`S3Server`].
pub(crate) fn s3(url: &str) -> serde_json::Value {
    json!({
        "kind": "s3", "bucket": S3Server::BUCKET, "endpoint": url, "path_style": true, "allow_http": true,
        "access_key_id": S3Server::KEY_ID, "secret_access_key": S3Server::SECRET,
    })
}

pub(crate) fn open(config: serde_json::Value) -> Store {
    Store::open("main", &serde_json::from_value(config).unwrap()).unwrap()
}

pub(crate) async fn read(store: &Store, path: &str, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let mut stream = store.get_stream(path, range).await.unwrap();
    let mut all = Vec::new();
    let size = stream.size();
    while let Some(bytes) = stream.next().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    assert_eq!(u64::try_from(all.len()).unwrap(), size);
    all
}

/// Bytes that differ from place to place.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at / 7 + at / 65_521) % 251).unwrap()).collect()
}
