//! Which handler runs which kind of job.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Backoff, ClaimedJob, JobError, Outcome};

type Running = Pin<Box<dyn Future<Output = Result<Outcome, JobError>> + Send>>;
type Handler = Arc<dyn Fn(ClaimedJob) -> Running + Send + Sync>;

/// The handlers of a process, by kind of job.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: HashMap<String, Handler>,
    backoffs: HashMap<String, Backoff>,
}

impl Registry {
    /// Makes an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `handler` run jobs of this kind; a second handler for a kind replaces the first.
    pub fn register<F, Fut>(&mut self, kind: impl Into<String>, handler: F) -> &mut Self
    where
        F: Fn(ClaimedJob) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Outcome, JobError>> + Send + 'static,
    {
        self.handlers.insert(kind.into(), Arc::new(move |job| Box::pin(handler(job))));
        self
    }

    /// Lets failed attempts of this kind wait by a back-off of their own, not by the runner's.
    pub fn backoff(&mut self, kind: impl Into<String>, backoff: Backoff) -> &mut Self {
        self.backoffs.insert(kind.into(), backoff);
        self
    }

    /// The back-off of a kind, if it has its own.
    pub(crate) fn backoff_of(&self, kind: &str) -> Option<Backoff> {
        self.backoffs.get(kind).copied()
    }

    /// The kinds that can be run, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.handlers.keys().map(String::as_str).collect();
        kinds.sort_unstable();
        kinds
    }

    /// Runs a job with its handler. An unknown kind is an error worth a retry: a newer worker may know it.
    pub(crate) async fn run(&self, job: ClaimedJob) -> Result<Outcome, JobError> {
        match self.handlers.get(&job.kind) {
            Some(handler) => handler(job).await,
            None => {
                Err(JobError::retry(format!("this worker has no handler for jobs of kind `{}`", job.kind)))
            }
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("kinds", &self.kinds()).finish()
    }
}
