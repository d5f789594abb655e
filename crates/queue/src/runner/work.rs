//! Running one claimed job: the handler in a task of its own, so that its panic is an error and its abort is clean.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span, info_span};

use super::engine::{Engine, Running};
use super::settler::Settler;
use crate::settle::{Ruling, Verdict};
use crate::{ClaimedJob, Error, JobError};

impl Engine {
    /// Runs a job to its end and waits until its verdict is written, however long the database is away.
    pub(super) async fn work(self: Arc<Self>, job: ClaimedJob, settler: Settler) {
        let id = job.id;
        if let Some(run) = self.run(job).await {
            let is_held = settler.settle(run.verdict.clone()).await;
            run.log(is_held);
        }
        self.running().remove(&id);
    }

    /// Runs a job to its end and writes its verdict, or returns the database's error.
    pub(super) async fn work_once(self: Arc<Self>, job: ClaimedJob) -> Result<(), Error> {
        let id = job.id;
        let run = self.run(job).await;
        let settled = match &run {
            Some(run) => self.settle(vec![run.verdict.clone()]).await,
            None => Ok(Vec::new()),
        };
        self.running().remove(&id);
        let is_held = !settled?.is_empty();
        if let Some(run) = run {
            run.log(is_held);
        }
        Ok(())
    }

    /// Runs the handler. No verdict means that the lease was lost and somebody else decides.
    async fn run(&self, job: ClaimedJob) -> Option<Run> {
        let span = info_span!("job", job.id = job.id.0, job.kind, job.queue, job.attempt);
        let (lease, attempt, max_attempts) = (job.lease.clone(), job.attempt, job.max_attempts);
        let registry = Arc::clone(&self.registry);
        let backoff = registry.backoff_of(&job.kind).unwrap_or(self.config.backoff);
        let started = Instant::now();
        let aside = self.aside.clone();
        let handler = async move { aside.scope(registry.run(job)).await }.instrument(span.clone());
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
        Some(Run { verdict: Verdict { lease, ruling }, span, duration: started.elapsed() })
    }
}

/// A handler that has ended.
struct Run {
    verdict: Verdict,
    span: Span,
    duration: Duration,
}

impl Run {
    /// Says how it ended, once that is written. What a worker without the lease thinks of the job is no news: another
    /// one goes on with it.
    fn log(&self, is_held: bool) {
        self.span.in_scope(|| match is_held {
            true => log(&self.verdict.ruling, self.duration),
            false => {
                tracing::warn!(
                    outcome = self.verdict.ruling.word(),
                    "a job was no longer held under its lease when its end was to be written"
                );
            }
        });
    }
}

/// The message of a panic; none if the task was aborted.
fn panicked(ended: JoinError) -> Option<String> {
    let payload: Box<dyn Any + Send> = ended.try_into_panic().ok()?;
    let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    Some(format!("the handler panicked: {}", text.as_deref().unwrap_or("no message")))
}

fn log(ruling: &Ruling, duration: Duration) {
    let (outcome, duration_ms) = (ruling.word(), duration.as_millis());
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
