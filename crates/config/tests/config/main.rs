//! `backup-manager.yml`: what is accepted, what is refused, and with which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod example;
mod mistakes;
mod settings;

use std::path::PathBuf;

use backup_config::Settings;
use backup_daemon::config::ConfigError;
use tempfile::TempDir;

/// The least an operator has to write.
pub(crate) const LEAST: &str = "
backup_manager_encryption_keys: [{id: one, key: 0123456789abcdef}]
listen: {https: null}
auth: {users: [{name: admin, password_hash: '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA', role: operator}]}
database: {url: 'postgres://localhost/bm'}
service_brokers:
  - {name: b, static_inventory: /i.yml, agent: {token: t0ken}, data_service: postgresql, store: main}
stores: {main: {kind: local, directory: /tmp}}
";

pub(crate) fn file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup-manager.yml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

pub(crate) fn read(text: &str) -> Result<Settings, ConfigError> {
    let (_directory, path) = file(text);
    backup_config::load_for_api(&path)
}
