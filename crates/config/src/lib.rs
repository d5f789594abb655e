//! `backup-manager.yml`, the one configuration file of the API and the workers: its keys, defaults and bounds, and
//! its translation into the values of `backup-core`. Reading files and the environment is done by
//! [`backup_daemon::config`]; every key is documented by example in `deploy/backup-manager.example.yml`.

mod auth;
mod bounds;
mod brokers;
mod check;
mod connection_string;
mod convert;
mod database;
mod history;
mod jobs;
mod limits;
mod listen;
mod oidc;
mod schedules;
mod settings;
mod trusted_proxies;
mod workers;

use std::path::Path;

use backup_daemon::config::{ConfigError, Mistake};

pub use auth::{AuthSettings, Role, UserSettings};
pub use brokers::{AgentSettings, BrokerSettings};
pub use database::DatabaseSettings;
pub use history::HistorySettings;
pub use jobs::{AgentJobSettings, BackupSettings, JobSettings, WatcherSettings};
pub use limits::LimitSettings;
pub use listen::{ClientCertificates, ListenSettings};
pub use oidc::OidcSettings;
pub use settings::{EncryptionKeySettings, Settings};
pub use workers::{InvalidWorkerGroup, WorkerGroup, WorkerGroupSettings};

/// Environment variables `BACKUP_MANAGER__A__B` override the key `a.b`.
pub const ENV_PREFIX: &str = "BACKUP_MANAGER";

/// Environment variable that overrides `log.level`.
pub const LOG_ENV: &str = "BACKUP_MANAGER_LOG";

/// Reads and checks everything that workers need.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    checked(path, Settings::mistakes)
}

/// Reads and checks everything, the listeners and users of the API included.
pub fn load_for_api(path: &Path) -> Result<Settings, ConfigError> {
    checked(path, |settings| {
        let mut mistakes = settings.mistakes();
        mistakes.extend(settings.api_mistakes());
        mistakes
    })
}

fn checked(path: &Path, check: impl Fn(&Settings) -> Vec<Mistake>) -> Result<Settings, ConfigError> {
    let mut settings: Settings = backup_daemon::config::load(path, ENV_PREFIX)?;
    settings.source = path.display().to_string();
    match check(&settings) {
        mistakes if mistakes.is_empty() => Ok(settings),
        mistakes => Err(ConfigError::new(settings.source, mistakes)),
    }
}
