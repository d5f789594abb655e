//! The runner: claims jobs of its queues, runs each in a task of its own, keeps the leases alive, writes down what became
//! of the jobs, and does the queue's upkeep on the side. It outlives outages of Postgres without a restart.
//! `engine.rs` holds what its tasks share, `desk.rs` the jobs in its hands, `pace.rs` how many it claims ahead, `work.rs` runs one,
//! `settler.rs` writes verdicts, `upkeep.rs` has the two timers, `health.rs` and `contact.rs` remember outages.

mod aside;
mod clock;
mod config;
mod contact;
mod desk;
mod due;
mod engine;
mod health;
mod pace;
mod settler;
mod upkeep;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::{Bell, Error, Registry, heartbeat, listen};

pub use aside::step_aside;
pub use config::RunnerConfig;
use desk::Desk;
use engine::{Engine, Look};

/// How long aborted jobs may take to be handed back before the runner leaves them to the rescue.
const HAND_BACK: Duration = Duration::from_secs(10);
/// Waits between attempts to claim while Postgres is away.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Runs the jobs of some queues, several at a time.
pub struct Runner {
    engine: Arc<Engine>,
}

impl std::fmt::Debug for Runner {
    /// Leaves the URL out: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Runner {
    /// Makes a runner. The pool serves its short statements (two connections are enough, whatever the concurrency); the
    /// URL is for three connections more, on which it claims, listens, and wakes others.
    #[must_use]
    pub fn new(
        pool: Pool<ConnectionManager<PgConnection>>,
        database_url: String,
        registry: Registry,
        config: RunnerConfig,
    ) -> Self {
        let bell = Bell::new(database_url.as_str());
        Self { engine: Arc::new(Engine::new(pool, database_url, registry, config, bell)) }
    }

    /// Makes a runner like this one that rings a bell the program has already, which saves a connection.
    #[must_use]
    pub fn bell(self, bell: Bell) -> Self {
        Self { engine: Arc::new(self.engine.with(self.engine.keep_finished, bell)) }
    }

    /// Makes a runner like this one that keeps finished jobs for this long instead of 14 days.
    #[must_use]
    pub fn keep_finished(self, keep: Duration) -> Self {
        Self { engine: Arc::new(self.engine.with(keep, self.engine.bell.clone())) }
    }

    /// Runs jobs until `shutdown`; then claims no more, lets the running ones end within the shutdown timeout, aborts
    /// the rest and hands them back. Proven by the tests in `tests/queue/runner.rs`, `outage.rs` and `shutdown.rs`.
    ///
    /// # Errors
    /// [`Error::CutOff`] if the runtime ends first. An outage of Postgres is logged and waited out.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Error> {
        let engine = &self.engine;
        engine.begin();
        let stop = CancellationToken::new();
        let _stop_when_dropped = stop.clone().drop_guard();
        let queues = engine.config.queues.clone();
        let _listening = listen::start(engine.database_url.clone(), queues, Arc::clone(&engine.wake));
        let heartbeat = AbortOnDropHandle::new(tokio::spawn(Arc::clone(engine).beat_until(stop.clone())));
        let upkeep = AbortOnDropHandle::new(tokio::spawn(Arc::clone(engine).keep_up_until(stop.clone())));
        let _abort_when_dropped = AbortAll(Arc::clone(engine));
        let _settler = AbortOnDropHandle::new(tokio::spawn(Arc::clone(engine).settle_all()));

        let claiming = shutdown.child_token();
        let _stop_claiming_when_dropped = claiming.clone().drop_guard();
        let (claimer, runtime) = (Arc::clone(engine), Handle::current());
        // On a thread of its own, which may wait for the database: a job that comes in passes through as few hands as possible.
        let claimed = spawn_blocking(move || runtime.block_on(claim_until(&claimer, &claiming))).await;
        self.drain().await;
        claimed?;

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
        let claimed = self.engine.claim(self.engine.config.concurrency, Look::FromTheStart).await?;
        let count = claimed.jobs.len();
        self.engine.desk().admit(claimed.jobs);
        self.engine.desk().fill(&self.engine);
        self.until(Desk::is_idle).await;
        let runs = self.engine.desk().take_to_settle(count);
        self.engine.desk().settled(&runs);
        let settled = self.engine.settle(runs.iter().map(|run| run.verdict.clone()).collect()).await?;
        for run in &runs {
            run.log(settled.contains(&run.verdict.lease.job));
        }
        Ok(runs.len())
    }

    /// Lets the running jobs end, or aborts them, which hands them back. Those that wait for a slot go back at once.
    async fn drain(&self) {
        let engine = &self.engine;
        engine.stop();
        engine.desk().hand_back_waiting();
        engine.to_settle.notify_one();
        if timeout(engine.config.shutdown_timeout, self.until(Desk::is_clear)).await.is_ok() {
            return;
        }
        tracing::warn!("handing back the jobs that did not end before the shutdown timeout");
        engine.desk().abort_all();
        if timeout(HAND_BACK, self.until(Desk::is_clear)).await.is_err() {
            tracing::warn!("some jobs could not be handed back; they are rescued when their leases expire");
        }
    }

    async fn until(&self, is_so: impl Fn(&Desk) -> bool) {
        while !is_so(&self.engine.desk()) {
            self.engine.turn.notified().await;
        }
    }
}

/// Claims and starts jobs until told to stop; looks again when there is room, when woken, and by the clock. Blocks its thread
/// while it claims.
async fn claim_until(engine: &Arc<Engine>, shutdown: &CancellationToken) {
    let mut pause = FIRST_PAUSE;
    // As far as we know there is nothing to be claimed until then.
    let mut next_look: Option<Instant> = None;
    while !shutdown.is_cancelled() {
        if engine.desk().hand_back_stalled() {
            engine.to_settle.notify_one();
        }
        let room = claimable(engine.desk().room(engine.slots()));
        if room > 0 && next_look.is_none_or(|at| at <= Instant::now()) {
            // By the clock means that nothing in particular is waited for.
            let look = if next_look.is_some() { Look::FromTheStart } else { Look::WhereWeWere };
            match engine.claim_now(room, look) {
                Ok(claimed) => {
                    engine.health.worked("claim");
                    pause = FIRST_PAUSE;
                    let rest =
                        if claimed.is_all { engine.config.poll_interval } else { engine.look_due_in() };
                    next_look = (claimed.jobs.len() < room).then(|| Instant::now() + rest);
                    let mut desk = engine.desk();
                    desk.admit(claimed.jobs);
                    if !engine.is_stopping() {
                        desk.fill(engine);
                    }
                }
                Err(error) => {
                    engine.health.failed("claim", &error);
                    tokio::select! { biased; () = shutdown.cancelled() => {}, () = sleep(pause) => {} }
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                    continue;
                }
            }
        }
        let (has_room, stall) = {
            let desk = engine.desk();
            (desk.room(engine.slots()) > 0, desk.stalls_in())
        };
        if has_room && next_look.is_none() {
            continue;
        }
        let rest = next_look.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            // First: at the end of the program there may be no clock any more.
            biased;
            () = shutdown.cancelled() => {}
            () = engine.wake.notified() => next_look = None,
            () = engine.aside.changed() => engine.desk().fill(engine),
            () = engine.turn.notified() => {}
            () = sleep(rest), if has_room => {}
            () = sleep(stall.unwrap_or_default()), if stall.is_some() => {}
        }
    }
}

/// How many jobs to ask for when there is this much room: one of few numbers, so that there are few statements to prepare.
fn claimable(room: usize) -> usize {
    if room >= pace::MOST { pace::MOST } else { room.checked_ilog2().map_or(0, |power| 1 << power) }
}

/// A runner that is dropped while it runs leaves no handler behind.
struct AbortAll(Arc<Engine>);

impl Drop for AbortAll {
    fn drop(&mut self) {
        self.0.stop();
        self.0.desk().abort_all();
    }
}
