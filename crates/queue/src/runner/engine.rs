//! What the tasks of a runner share: its way to the database, its handlers, and the list of the jobs it runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use tokio::task::{AbortHandle, spawn_blocking};

use super::RunnerConfig;
use super::aside::Aside;
use super::health::Health;
use crate::claim::{Claimer, claim};
use crate::settle::{Verdict, settle};
use crate::{ClaimedJob, Error, JobId, Lease, Registry};

/// How long to wait for a connection; bounds how long a shutdown is held up by an outage.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Engine {
    pool: Pool<ConnectionManager<PgConnection>>,
    pub(super) registry: Arc<Registry>,
    pub(super) config: RunnerConfig,
    pub(super) health: Health,
    pub(super) keep_finished: Duration,
    pub(super) aside: Aside,
    running: Mutex<HashMap<JobId, Running>>,
}

/// A job from its claim until its verdict is written.
pub(super) struct Running {
    pub(super) lease: Lease,
    pub(super) task: AbortHandle,
}

impl Engine {
    pub(super) fn new(
        pool: Pool<ConnectionManager<PgConnection>>,
        registry: Registry,
        config: RunnerConfig,
        keep_finished: Duration,
    ) -> Self {
        let registry = Arc::new(registry);
        Self {
            pool,
            registry,
            config,
            health: Health::default(),
            keep_finished,
            aside: Aside::default(),
            running: Mutex::default(),
        }
    }

    pub(super) fn keeping(&self, keep_finished: Duration) -> Self {
        Self::new(self.pool.clone(), (*self.registry).clone(), self.config.clone(), keep_finished)
    }

    /// Does something short with a connection, off the async threads.
    pub(super) async fn database<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let pool = self.pool.clone();
        spawn_blocking(move || work(&mut *pool.get_timeout(CONNECTION_WAIT)?)).await?
    }

    pub(super) async fn claim(&self, limit: usize) -> Result<Vec<ClaimedJob>, Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let config = self.config.clone();
        self.database(move |conn| {
            let claimer = Claimer { worker: &config.name, queues: &config.queues, lease: config.lease };
            claim(conn, &claimer, limit)
        })
        .await
    }

    pub(super) async fn settle(&self, verdicts: Vec<Verdict>) -> Result<Vec<JobId>, Error> {
        self.database(move |conn| settle(conn, &verdicts)).await
    }

    /// How many jobs may be under way now.
    pub(super) fn places(&self) -> usize {
        self.aside.places(self.config.concurrency)
    }

    /// Aborts the handlers of all running jobs.
    pub(super) fn abort_all(&self) {
        self.running().values().for_each(|running| running.task.abort());
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<JobId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("registry", &self.registry)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
