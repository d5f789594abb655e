//! Running one claimed job in a task of its own. A panic is an error; an abort is noticed by what is dropped.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tracing::{Instrument, Span, info_span};

use super::engine::Engine;
use crate::settle::{Ruling, Verdict};
use crate::{Backoff, ClaimedJob, JobError, Lease};

impl Engine {
    /// Runs a job to its end, puts it down to be settled, and starts the next that waits for a slot.
    pub(super) async fn work(self: Arc<Self>, job: ClaimedJob) {
        let attempt = Attempt::new(&self, &job);
        let handler = self.aside.scope(self.registry.run(job)).instrument(attempt.span.clone());
        let answer = unwound(handler).await.unwrap_or_else(|panic| Err(JobError::retry(panic)));
        attempt.end(answer);
    }
}

/// A handler at work. Dropped before its end, it was aborted: by the heartbeat, which took it off the desk, or by the
/// shutdown, which did not, and wants it handed back.
struct Attempt {
    engine: Arc<Engine>,
    lease: Lease,
    number: i32,
    most: i32,
    backoff: Backoff,
    span: Span,
    started: Instant,
    has_ended: bool,
}

impl Attempt {
    fn new(engine: &Arc<Engine>, job: &ClaimedJob) -> Self {
        Self {
            engine: Arc::clone(engine),
            lease: job.lease.clone(),
            number: job.attempt,
            most: job.max_attempts,
            backoff: engine.registry.backoff_of(&job.kind).unwrap_or(engine.config.backoff),
            span: info_span!("job", job.id = job.id.0, job.kind, job.queue, job.attempt),
            started: Instant::now(),
            has_ended: false,
        }
    }

    fn end(mut self, answer: Result<crate::Outcome, JobError>) {
        self.has_ended = true;
        self.put_down(Ruling::of(answer, self.number, self.most, &self.backoff));
    }

    fn put_down(&self, ruling: Ruling) {
        let engine = &self.engine;
        let verdict = Verdict { lease: self.lease.clone(), ruling };
        let duration = Some(self.started.elapsed());
        let mut desk = engine.desk();
        desk.end(Run { verdict, span: self.span.clone(), duration });
        if self.has_ended && !engine.is_stopping() {
            desk.fill(engine);
        }
        // Asked for each time, this would cost more than a short job does.
        let is_awaited = desk.room(engine.slots()) > 0;
        drop(desk);
        engine.to_settle.notify_one();
        if is_awaited {
            engine.turn.notify_one();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.has_ended {
            self.put_down(Ruling::HandedBack);
        }
    }
}

/// A job that is over for this runner, and what is to be written of it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) verdict: Verdict,
    span: Span,
    /// How long its handler was at work; none if it never began.
    pub(super) duration: Option<Duration>,
}

impl Run {
    /// One that was claimed and not begun.
    pub(super) fn unstarted(lease: Lease, ruling: Ruling) -> Self {
        Self { verdict: Verdict { lease, ruling }, span: Span::none(), duration: None }
    }

    /// Says how it ended, once that is written. What a worker without the lease thinks of the job is no news: another
    /// one goes on with it.
    pub(super) fn log(&self, is_held: bool) {
        let Some(duration) = self.duration else { return };
        self.span.in_scope(|| match is_held {
            true => log(&self.verdict.ruling, duration),
            false => {
                tracing::warn!(
                    outcome = self.verdict.ruling.word(),
                    "a job was no longer held under its lease when its end was to be written"
                );
            }
        });
    }
}

/// Awaits a handler; its panic becomes a message.
async fn unwound<T>(handler: impl Future<Output = T>) -> Result<T, String> {
    let mut handler = pin!(handler);
    poll_fn(|context| {
        // After a panic the handler is not polled again, only dropped.
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
            Err(payload) => Poll::Ready(Err(message(&*payload))),
        }
    })
    .await
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the handler panicked: {}", text.as_deref().unwrap_or("no message"))
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
