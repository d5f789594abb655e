//! What a runner is told at its start.

use std::time::Duration;

use crate::Backoff;

/// How a [`crate::Runner`] works.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Its name, written into the jobs it claims; different for every running process.
    pub name: String,
    /// The queues it serves; none is before another.
    pub queues: Vec<String>,
    /// How many jobs it runs at a time, those that stand aside ([`crate::step_aside`]) not counted.
    pub concurrency: usize,
    /// How long it holds a job without a heartbeat; a heartbeat is sent three times in this time.
    pub lease: Duration,
    /// How often it looks for due jobs when nothing wakes it, and does upkeep.
    pub poll_interval: Duration,
    /// How long running jobs may go on after a shutdown was asked for.
    pub shutdown_timeout: Duration,
    /// How long failed jobs wait.
    pub backoff: Backoff,
}

impl RunnerConfig {
    /// Makes a configuration with one job at a time, a lease of a minute, a look every second and half a minute for the
    /// shutdown.
    pub fn new(name: impl Into<String>, queues: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: name.into(),
            queues: queues.into_iter().map(Into::into).collect(),
            concurrency: 1,
            lease: Duration::from_secs(60),
            poll_interval: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(30),
            backoff: Backoff::default(),
        }
    }
}
