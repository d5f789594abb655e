//! Stepping aside: a job that waits for somebody outside gives its place to another one meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// So many jobs may stand aside for each place. They cost a lease and some memory.
const MOST_PER_PLACE: usize = 32;

tokio::task_local! {
    static RUNNER: Aside;
}

/// Awaits `work`. When that takes longer than `patience`, the job that calls this no longer counts towards
/// [`crate::RunnerConfig::concurrency`] until it is over, so that its runner takes another one meanwhile (up to 32 for each
/// place). For calls that may hang, such as a request to a stranger; not for work. Outside of a runner's job it only awaits.
/// Proven by `a_job_that_waits_outside_gives_its_place_to_another`.
pub async fn step_aside<T>(patience: Duration, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = timeout(patience, &mut work).await {
        return done;
    }
    let _standing = RUNNER.try_with(Aside::stand).ok();
    work.await
}

/// How many jobs of a runner stand aside.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    standing: AtomicUsize,
    changed: Notify,
}

/// Ends when dropped.
struct Standing(Arc<Count>);

impl Aside {
    /// Runs a handler whose calls of [`step_aside`] count here.
    pub(super) async fn scope<T>(&self, handler: impl Future<Output = T>) -> T {
        RUNNER.scope(self.clone(), handler).await
    }

    /// How many jobs may be under way, those that stand aside included.
    pub(super) fn places(&self, concurrency: usize) -> usize {
        let most = concurrency.saturating_mul(MOST_PER_PLACE);
        concurrency.saturating_add(self.0.standing.load(Ordering::SeqCst).min(most))
    }

    /// Waits until a place has fallen free.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn stand(&self) -> Standing {
        self.0.standing.fetch_add(1, Ordering::SeqCst);
        self.0.changed.notify_one();
        Standing(Arc::clone(&self.0))
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.standing.fetch_sub(1, Ordering::SeqCst);
    }
}
