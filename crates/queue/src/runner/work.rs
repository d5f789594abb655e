//! Running one claimed job: the handler in a task of its own, so that its panic is an error and its abort is clean.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, info_span};

use super::engine::{Engine, Running};
use super::settler::Settler;
use crate::settle::{Ruling, Verdict};
use crate::{ClaimedJob, Error, JobError, JobId};

impl Engine {
    /// Runs a job to its end and waits until its verdict is written, however long the database is away.
    pub(super) async fn work(self: Arc<Self>, job: ClaimedJob, settler: Settler) {
        let id = job.id;
        if let Some(verdict) = self.run(job).await
            && !settler.settle(verdict).await
        {
            warn_of_loss(id);
        }
        self.running().remove(&id);
    }

    /// Runs a job to its end and writes its verdict, or returns the database's error.
    pub(super) async fn work_once(self: Arc<Self>, job: ClaimedJob) -> Result<(), Error> {
        let id = job.id;
        let verdict = self.run(job).await;
        let settled = match verdict {
            Some(verdict) => self.settle(vec![verdict]).await.map(|held| held.is_empty()),
            None => Ok(false),
        };
        self.running().remove(&id);
        if settled? {
            warn_of_loss(id);
        }
        Ok(())
    }

    /// Runs the handler. No verdict means that the lease was lost and somebody else decides.
    async fn run(&self, job: ClaimedJob) -> Option<Verdict> {
        let span = info_span!("job", job.id = job.id.0, job.kind, job.queue, job.attempt);
        let (lease, attempt, max_attempts) = (job.lease.clone(), job.attempt, job.max_attempts);
        let registry = Arc::clone(&self.registry);
        let backoff = registry.backoff_of(&job.kind).unwrap_or(self.config.backoff);
        let started = Instant::now();
        let handler = async move { registry.run(job).await }.instrument(span.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(handler));
        self.running().insert(lease.job, Running { lease: lease.clone(), task: task.abort_handle() });

        let answer = match task.await {
            Ok(answer) => Some(answer),
            Err(ended) => panicked(ended).map(|message| Err(JobError::retry(message))),
        };
        let ruling = match answer {
            Some(answer) => Ruling::of(answer, attempt, max_attempts, &backoff),
            // Aborted: by the heartbeat, which took it off the list, or by the shutdown, which did not.
            None if self.running().contains_key(&lease.job) => Ruling::HandedBack,
            None => return None,
        };
        span.in_scope(|| log(&ruling, started));
        Some(Verdict { lease, ruling })
    }
}

/// The message of a panic; none if the task was aborted.
fn panicked(ended: JoinError) -> Option<String> {
    let payload: Box<dyn Any + Send> = ended.try_into_panic().ok()?;
    let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    Some(format!("the handler panicked: {}", text.as_deref().unwrap_or("no message")))
}

fn log(ruling: &Ruling, started: Instant) {
    let (outcome, duration_ms) = (ruling.word(), started.elapsed().as_millis());
    match ruling {
        Ruling::Failed(error) => tracing::error!(outcome, duration_ms, error, "a job failed for good"),
        Ruling::Retried(error, wait) => {
            tracing::warn!(outcome, duration_ms, error, retry_in_s = wait.as_secs_f64(), "a job failed");
        }
        Ruling::Discarded(reason) => tracing::info!(outcome, duration_ms, reason, "a job had nothing to do"),
        Ruling::Done | Ruling::HandedBack => tracing::info!(outcome, duration_ms, "ran a job"),
        // A job that looks every few seconds would fill the log.
        Ruling::Snoozed(_) => tracing::debug!(outcome, duration_ms, "ran a job"),
    }
}

fn warn_of_loss(id: JobId) {
    tracing::warn!(job.id = id.0, "a job was no longer held under its lease when its end was to be written");
}
