//! The agent to be checked, and what may be done to it.

use futures_util::future::BoxFuture;
use secrecy::SecretString;

/// An agent at a URL.
pub struct Target {
    /// Its base URL, for example `https://10.0.0.7:3100`.
    pub url: String,
    /// What it accepts.
    pub credential: Credential,
    /// PEM of the authority that signed its certificate, when that is a private one.
    pub authority: Option<Vec<u8>>,
    /// A store of the agent's configuration. Backups are written into it and stay there.
    pub store: String,
    /// Objects are written below `<object_prefix>/<backup_id>/`; every run makes new ids.
    pub object_prefix: String,
    /// Plain bytes per second of a backup that is looked at while it runs; low enough that it runs for ten seconds.
    pub slow_rate: u64,
    /// Whether restores may replace the data of the service beside the agent (by what a backup has just read from it).
    pub allow_restores: bool,
    /// How to kill it and to start it again; without it the checks that need it are skipped.
    pub restart: Option<Box<dyn Restart>>,
}

/// What an agent accepts.
pub enum Credential {
    /// Basic authentication.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// A bearer token.
    Bearer(SecretString),
}

/// Kills an agent as a power cut would, and starts it again.
pub trait Restart: Send + Sync {
    /// Ends the agent without a warning, and starts it again with the same journal. Returns when it was started; it need
    /// not answer yet.
    fn kill_and_start(&self) -> BoxFuture<'_, anyhow::Result<()>>;
}
