//! Logs of a daemon: to standard error, as text for people or as JSON for collectors, one event per line.

use std::fmt;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The `log` section of a daemon's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A level (`info`) or a filter (`info,backup_queue=debug`).
    pub level: LogFilter,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogFilter("info".to_owned()) }
    }
}

impl LogSettings {
    /// For a command that somebody waits for: only what they must know.
    #[must_use]
    pub fn for_a_command() -> Self {
        Self { format: LogFormat::Text, level: LogFilter("warn".to_owned()) }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A checked filter of log events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogFilter(String);

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match EnvFilter::try_new(&text) {
            Ok(_) if !text.trim().is_empty() => Ok(Self(text)),
            _ => Err("not a log filter, expected error, warn, info, debug, trace, or such a level per \
                      module as in info,backup_queue=debug"
                .to_owned()),
        }
    }
}

impl From<LogFilter> for String {
    fn from(filter: LogFilter) -> Self {
        filter.0
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts logging for the whole process. The environment variable `env_var` (for example `BACKUP_MANAGER_LOG`)
/// overrides the configured level when it holds a valid filter. A second call in one process does nothing.
pub fn init(settings: &LogSettings, env_var: &str) {
    let filter = std::env::var(env_var)
        .ok()
        .and_then(|text| LogFilter::try_from(text).ok())
        .unwrap_or_else(|| settings.level.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.0))
        .with_writer(std::io::stderr)
        // Complaining about a closed standard error on standard error would panic.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // Only the first subscriber of a process is taken; tests start several daemons in one.
    let _ = match settings.format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
}
