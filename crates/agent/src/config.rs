//! `backup-agent.yml` as types, with the checks that serde cannot express. Values come from the file, from variables
//! `BACKUP_AGENT__…` and from secrets in files; see [`backup_daemon::config`]. An annotated example is in `deploy/`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use backup_daemon::config::{ConfigError, Mistake};
use backup_daemon::logging::LogSettings;
use backup_objects::StoreConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::drivers::{self, DriverSection};

/// Beginning of the environment variables that override the file.
pub const ENVIRONMENT: &str = "BACKUP_AGENT";

/// Everything an agent needs to know.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Present: HTTPS only. Absent: plain HTTP, for a network that is encrypted otherwise.
    #[serde(default)]
    pub tls: Option<TlsSection>,
    /// What every request must show.
    pub credential: CredentialSection,
    /// The data service; exactly one driver.
    pub driver: DriverSection,
    /// The backup stores by name; the manager's configuration uses the same names.
    pub stores: BTreeMap<String, StoreConfig>,
    /// For temporary files of a driver's programs, and the journal unless that has a place of its own. Survives restarts.
    pub scratch_directory: PathBuf,
    /// Where operations are recorded; `operations` below the scratch directory if absent.
    #[serde(default)]
    pub journal_directory: Option<PathBuf>,
    /// Where rehearsals have their scratch data services; `rehearsals` below the scratch directory if absent. Of this agent
    /// alone. It needs room for a whole restored data service.
    #[serde(default)]
    pub rehearsal_directory: Option<PathBuf>,
    /// How many backups may run at once; a restore always runs alone.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// Bytes uploaded in one piece; this much memory is needed twice per operation.
    #[serde(default = "default_chunk_size")]
    pub chunk_size: usize,
    /// Log level and format.
    #[serde(default)]
    pub log: LogSettings,
}

/// Certificate and key for HTTPS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// PEM file with the certificate and its chain; read again when it changes.
    pub certificate_path: PathBuf,
    /// PEM file with the private key.
    pub key_path: PathBuf,
    /// PEM file with the authorities whose client certificates are demanded; absent: none is demanded.
    #[serde(default)]
    pub client_ca_path: Option<PathBuf>,
}

/// Either `user` and `password` (basic authentication) or `token` (bearer).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSection {
    /// User of basic authentication.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// Bearer token.
    #[serde(default)]
    pub token: Option<SecretString>,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 3100))
}

fn default_concurrency() -> usize {
    1
}

fn default_chunk_size() -> usize {
    16 * 1024 * 1024
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// With every mistake found.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = backup_daemon::config::load(path, ENVIRONMENT)?;
        let mistakes = config.mistakes();
        match mistakes.is_empty() {
            true => Ok(config),
            false => Err(ConfigError::new(path.display().to_string(), mistakes)),
        }
    }

    /// Where operations are recorded.
    pub fn journal_directory(&self) -> PathBuf {
        self.journal_directory.clone().unwrap_or_else(|| self.scratch_directory.join("operations"))
    }

    /// Where rehearsals have their scratch data services.
    pub fn rehearsal_directory(&self) -> PathBuf {
        self.rehearsal_directory.clone().unwrap_or_else(|| self.scratch_directory.join("rehearsals"))
    }

    /// What serde could not see.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.credential.mistakes();
        let given = self.driver.given();
        if given.len() != 1 {
            let found = if given.is_empty() { "no driver".to_owned() } else { given.join(", ") };
            let allowed = format!("exactly one of {}", drivers::NAMES.join(", "));
            mistakes.push(Mistake::new("driver", found, allowed));
        }
        if self.stores.is_empty() {
            mistakes.push(Mistake::new("stores", "no store", "at least one"));
        }
        for (name, store) in &self.stores {
            let faults = store.faults().into_iter();
            mistakes
                .extend(faults.map(|f| Mistake::new(format!("stores.{name}.{}", f.key), f.found, f.allowed)));
        }
        if !(1..=64).contains(&self.concurrency) {
            mistakes.push(Mistake::new("concurrency", self.concurrency, "1 to 64"));
        }
        let pieces = 5 * 1024 * 1024..=512 * 1024 * 1024;
        if !pieces.contains(&self.chunk_size) {
            mistakes.push(Mistake::new("chunk_size", self.chunk_size, "5242880 to 536870912 bytes"));
        }
        if !self.scratch_directory.is_absolute() {
            let found = self.scratch_directory.display();
            mistakes.push(Mistake::new("scratch_directory", found, "an absolute path"));
        }
        if let Some(relative) = self.rehearsal_directory.as_ref().filter(|directory| !directory.is_absolute())
        {
            mistakes.push(Mistake::new("rehearsal_directory", relative.display(), "an absolute path"));
        }
        mistakes
    }
}

impl CredentialSection {
    fn mistakes(&self) -> Vec<Mistake> {
        let filled =
            |secret: &Option<SecretString>| secret.as_ref().is_some_and(|s| !s.expose_secret().is_empty());
        let basic = self.user.as_ref().is_some_and(|user| !user.is_empty() && !user.contains(':'));
        let allowed = match (basic && filled(&self.password), filled(&self.token)) {
            (true, false) if self.token.is_none() => return Vec::new(),
            (false, true) if self.user.is_none() && self.password.is_none() => return Vec::new(),
            _ => "user (without a colon) and password, or token alone",
        };
        vec![Mistake::new("credential", "something else", allowed)]
    }
}
