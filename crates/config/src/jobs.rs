//! `jobs` and `backups`: how the work is done, and what agents are asked for.

use backup_daemon::duration::HumaneDuration;
use serde::Deserialize;

/// The `jobs` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobSettings {
    /// Sending requests to agents.
    pub backup_agent: AgentJobSettings,
    /// Watching running operations.
    pub watcher: WatcherSettings,
    /// How long a worker holds a job without a sign of life; the longest a killed worker can delay one.
    pub lease: HumaneDuration,
    /// How often a worker looks for jobs when no notification wakes it.
    pub poll_interval: HumaneDuration,
    /// How long a stopping worker waits for the jobs it is running.
    pub shutdown_timeout: HumaneDuration,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            backup_agent: AgentJobSettings::default(),
            watcher: WatcherSettings::default(),
            lease: HumaneDuration::from_secs(30),
            poll_interval: HumaneDuration::from_secs(2),
            shutdown_timeout: HumaneDuration::from_secs(30),
        }
    }
}

/// The `jobs.backup_agent` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentJobSettings {
    /// Attempts of a `backup_agent_backups` job.
    pub max_attempts: i64,
    /// Deadline of a backup or restore on the agent.
    pub timeout: HumaneDuration,
    /// How long an agent may take to confirm a cancellation.
    pub cancel_wait: HumaneDuration,
}

impl Default for AgentJobSettings {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            timeout: HumaneDuration::from_secs(24 * 3600),
            cancel_wait: HumaneDuration::from_secs(60),
        }
    }
}

/// The `jobs.watcher` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatcherSettings {
    /// How often a running operation is asked for.
    pub interval: HumaneDuration,
}

impl Default for WatcherSettings {
    fn default() -> Self {
        Self { interval: HumaneDuration::from_secs(10) }
    }
}

/// The `backups` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSettings {
    /// Largest part of a stored backup, in bytes.
    pub file_size_limit: i64,
    /// zstd level.
    pub compression_level: i64,
}

impl Default for BackupSettings {
    fn default() -> Self {
        Self { file_size_limit: 5 * 1024 * 1024 * 1024, compression_level: 3 }
    }
}
