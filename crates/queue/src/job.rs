//! A job before it is enqueued ([`NewJob`]) and after it was claimed ([`ClaimedJob`]).

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::Lease;

/// The number of a job; unique for ever, also after the job is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A job to be enqueued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// The line it stands in; workers serve a list of queues.
    pub queue: String,
    /// Chooses the handler.
    pub kind: String,
    /// What the handler receives.
    pub arguments: Value,
    /// Lower goes first; 100 unless said otherwise.
    pub priority: i16,
    /// The job is due this long after the database's now; zero unless said otherwise.
    pub delay: Duration,
    /// At most one unfinished job has a given key; none unless said otherwise.
    pub unique_key: Option<String>,
    /// How often it is tried before it counts as failed; 10 unless said otherwise.
    pub max_attempts: i32,
}

impl NewJob {
    /// Makes a job that is due at once, with priority 100, ten attempts and no unique key.
    pub fn new(queue: impl Into<String>, kind: impl Into<String>, arguments: Value) -> Self {
        Self {
            queue: queue.into(),
            kind: kind.into(),
            arguments,
            priority: 100,
            delay: Duration::ZERO,
            unique_key: None,
            max_attempts: 10,
        }
    }

    /// Sets the priority; lower goes first.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Lets the job become due only after `delay`.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Allows no second unfinished job with this key.
    #[must_use]
    pub fn unique_key(mut self, unique_key: impl Into<String>) -> Self {
        self.unique_key = Some(unique_key.into());
        self
    }

    /// Sets how often the job is tried; at least once.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: i32) -> Self {
        self.max_attempts = max_attempts.max(1);
        self
    }
}

/// A job in the hands of a worker.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// Its number.
    pub id: JobId,
    /// The queue it came from.
    pub queue: String,
    /// Chooses the handler.
    pub kind: String,
    /// What was enqueued.
    pub arguments: Value,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// How many attempts it has.
    pub max_attempts: i32,
    /// The right to write the job's results; see [`Lease::confirm`].
    pub lease: Lease,
}
