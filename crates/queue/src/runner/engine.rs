//! What the tasks of a runner share: its way to the database, its handlers, and the list of the jobs it runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use tokio::task::{AbortHandle, spawn_blocking};

use super::RunnerConfig;
use super::health::Health;
use crate::claim::{Claimer, claim};
use crate::bell::Due;
use crate::settle::{Verdict, settle_into};
use crate::{Bell, ClaimedJob, Error, JobId, Lease, Registry, prune};

/// How long to wait for a connection; bounds how long a shutdown is held up by an outage.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Engine {
    pool: Pool<ConnectionManager<PgConnection>>,
    pub(super) registry: Arc<Registry>,
    pub(super) config: RunnerConfig,
    pub(super) health: Health,
    pub(super) keep_finished: Duration,
    pub(super) bell: Bell,
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
        bell: Bell,
    ) -> Self {
        let (registry, keep_finished) = (Arc::new(registry), prune::KEEP_FINISHED);
        Self { pool, registry, config, health: Health::default(), keep_finished, bell, running: Mutex::default() }
    }

    /// The same engine before its start, with other settings.
    pub(super) fn with(&self, keep_finished: Duration, bell: Bell) -> Self {
        let registry = (*self.registry).clone();
        Self { keep_finished, ..Self::new(self.pool.clone(), registry, self.config.clone(), bell) }
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
        let bell = self.bell.clone();
        self.database(move |conn| {
            let mut ready = Due::default();
            let settled = settle_into(conn, &verdicts, &mut ready)?;
            bell.ring_for(ready);
            Ok(settled)
        })
        .await
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
