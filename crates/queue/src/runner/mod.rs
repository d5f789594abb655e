//! The runner: claims jobs of its queues, runs each in a task of its own, keeps the leases alive, writes down what became
//! of the jobs, and does the queue's upkeep on the side. It outlives outages of Postgres without a restart.
//! `engine.rs` holds what its tasks share, `work.rs` runs one job, `settler.rs` writes verdicts, `upkeep.rs` has the two
//! timers, `health.rs` and `contact.rs` remember outages.

mod clock;
mod config;
mod contact;
mod engine;
mod health;
mod settler;
mod upkeep;
mod work;

use std::sync::Arc;
use std::time::Duration;

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::{Bell, Error, Registry, heartbeat, listen};

pub use config::RunnerConfig;
use engine::Engine;
use settler::Settler;

/// How long aborted jobs may take to be handed back before the runner leaves them to the rescue.
const HAND_BACK: Duration = Duration::from_secs(10);
/// Waits between attempts to claim while Postgres is away.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Runs the jobs of some queues, several at a time.
pub struct Runner {
    engine: Arc<Engine>,
    database_url: String,
}

impl std::fmt::Debug for Runner {
    /// Leaves the URL out: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Runner {
    /// Makes a runner. The pool serves its short statements (two connections are enough, whatever the concurrency); the
    /// URL is for two connections more, on which it listens, and wakes others.
    #[must_use]
    pub fn new(
        pool: Pool<ConnectionManager<PgConnection>>,
        database_url: String,
        registry: Registry,
        config: RunnerConfig,
    ) -> Self {
        let bell = Bell::new(database_url.as_str());
        Self { engine: Arc::new(Engine::new(pool, registry, config, bell)), database_url }
    }

    /// Makes a runner like this one that rings a bell the program has already, which saves a connection.
    #[must_use]
    pub fn bell(self, bell: Bell) -> Self {
        Self { engine: Arc::new(self.engine.with(self.engine.keep_finished, bell)), ..self }
    }

    /// Makes a runner like this one that keeps finished jobs for this long instead of 14 days.
    #[must_use]
    pub fn keep_finished(self, keep: Duration) -> Self {
        Self { engine: Arc::new(self.engine.with(keep, self.engine.bell.clone())), ..self }
    }

    /// Runs jobs until `shutdown`; then claims no more, lets the running ones end within the shutdown timeout, aborts
    /// the rest and hands them back. Proven by the tests in `tests/queue/runner.rs`, `outage.rs` and `shutdown.rs`.
    ///
    /// # Errors
    /// None at present: an outage of Postgres is logged and waited out.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Error> {
        let wake = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let _stop_when_dropped = stop.clone().drop_guard();
        let queues = self.engine.config.queues.clone();
        let _listening = listen::start(self.database_url.clone(), queues, Arc::clone(&wake));
        let heartbeat =
            AbortOnDropHandle::new(tokio::spawn(Arc::clone(&self.engine).beat_until(stop.clone())));
        let upkeep = AbortOnDropHandle::new(tokio::spawn(
            Arc::clone(&self.engine).keep_up_until(stop.clone(), Arc::clone(&wake)),
        ));

        let mut jobs = JoinSet::new();
        self.claim_until(&shutdown, &wake, &mut jobs).await;
        self.drain(&mut jobs).await;

        stop.cancel();
        let _ended = tokio::join!(heartbeat, upkeep);
        let name = self.engine.config.name.clone();
        if let Err(error) = self.engine.database(move |conn| heartbeat::deregister(conn, &name)).await {
            self.engine.health.failed("deregister", &error);
        }
        Ok(())
    }

    /// Takes one turn: upkeep (promote, rescue, fire schedules, prune), one claim, and all claimed jobs to their end.
    /// Returns how many jobs were run. For tests, which move the clock instead of sleeping.
    ///
    /// # Errors
    /// Whatever the database answers; unlike [`Runner::run`], a step does not wait for it to come back.
    pub async fn step(&self) -> Result<usize, Error> {
        self.engine.beat().await?;
        self.engine.keep_up(Box::new(|| true)).await?;
        self.engine.prune().await?;
        let stop = CancellationToken::new();
        let _heartbeat = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&self.engine).beat_until(stop)));
        let mut tasks = JoinSet::new();
        for job in self.engine.claim(self.engine.config.concurrency).await? {
            tasks.spawn(Arc::clone(&self.engine).work_once(job));
        }
        let mut run = 0;
        while let Some(ended) = tasks.join_next().await {
            ended??;
            run += 1;
        }
        Ok(run)
    }

    /// Claims and starts jobs until told to stop; looks again when a slot falls free, when woken, and by the clock.
    async fn claim_until(&self, shutdown: &CancellationToken, wake: &Notify, jobs: &mut JoinSet<()>) {
        let engine = &self.engine;
        let settler = Settler::start(Arc::clone(engine));
        let mut pause = FIRST_PAUSE;
        while !shutdown.is_cancelled() {
            let free = engine.config.concurrency.saturating_sub(jobs.len());
            match engine.claim(free).await {
                Ok(claimed) => {
                    engine.health.worked("claim");
                    pause = FIRST_PAUSE;
                    for job in claimed {
                        jobs.spawn(Arc::clone(engine).work(job, settler.clone()));
                    }
                }
                Err(error) => {
                    engine.health.failed("claim", &error);
                    tokio::select! { () = shutdown.cancelled() => {}, () = sleep(pause) => {} }
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                    continue;
                }
            }
            let has_room = jobs.len() < engine.config.concurrency;
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(_) = jobs.join_next() => {}
                () = wake.notified(), if has_room => {}
                () = sleep(engine.config.poll_interval), if has_room => {}
            }
            // Jobs that ended together make room for one claim together.
            while jobs.try_join_next().is_some() {}
        }
    }

    /// Lets the running jobs end, or aborts them, which hands them back.
    async fn drain(&self, jobs: &mut JoinSet<()>) {
        let mut all_ended = async || while jobs.join_next().await.is_some() {};
        if timeout(self.engine.config.shutdown_timeout, all_ended()).await.is_ok() {
            return;
        }
        tracing::warn!("handing back the jobs that did not end before the shutdown timeout");
        self.engine.abort_all();
        if timeout(HAND_BACK, all_ended()).await.is_err() {
            tracing::warn!("some jobs could not be handed back; they are rescued when their leases expire");
        }
    }
}
