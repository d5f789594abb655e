//! `database`: the manager's own PostgreSQL.

use backup_daemon::duration::HumaneDuration;
use secrecy::SecretString;
use serde::Deserialize;

/// The `database` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// A libpq connection string; several hosts and `target_session_attrs=read-write` are fine.
    pub url: SecretString,
    /// Most connections of one process.
    #[serde(default = "pool_size")]
    pub pool_size: i64,
    /// How long a request waits for a connection before it is answered with 503.
    #[serde(default = "acquire_timeout")]
    pub acquire_timeout: HumaneDuration,
    /// How long a starting daemon waits for the database before it gives up.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: HumaneDuration,
}

fn pool_size() -> i64 {
    10
}

fn acquire_timeout() -> HumaneDuration {
    HumaneDuration::from_secs(5)
}

fn connect_timeout() -> HumaneDuration {
    HumaneDuration::from_secs(30)
}
