//! What the tasks of a runner share: its way to the database, its handlers, and the desk with the jobs in its hands.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, Pool};
use diesel::{Connection, PgConnection};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::RunnerConfig;
use super::aside::Aside;
use super::desk::Desk;
use super::health::Health;
use crate::bell::Due;
use crate::claim::{self, Claimed, Claimer, Places};
use crate::settle::{Verdict, settle_into};
use crate::{Bell, Error, JobId, Registry, prune};

/// How long to wait for a connection; bounds how long a shutdown is held up by an outage.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Engine {
    pool: Pool<ConnectionManager<PgConnection>>,
    pub(super) database_url: String,
    pub(super) registry: Arc<Registry>,
    pub(super) config: RunnerConfig,
    pub(super) health: Health,
    pub(super) keep_finished: Duration,
    pub(super) bell: Bell,
    pub(super) aside: Aside,
    /// Time to look for jobs.
    pub(super) wake: Arc<Notify>,
    /// Something has left the desk.
    pub(super) turn: Notify,
    /// Something has ended and is to be written down.
    pub(super) to_settle: Notify,
    is_stopping: AtomicBool,
    desk: Mutex<Desk>,
    claims: Mutex<Claims>,
}

/// What claims are made with, one at a time.
#[derive(Default)]
struct Claims {
    /// A connection of their own, since it is set up for them; none before the first claim and after an error.
    conn: Option<PgConnection>,
    places: Places,
}

impl Engine {
    pub(super) fn new(
        pool: Pool<ConnectionManager<PgConnection>>,
        database_url: String,
        registry: Registry,
        config: RunnerConfig,
        bell: Bell,
    ) -> Self {
        Self {
            pool,
            database_url,
            registry: Arc::new(registry),
            config,
            health: Health::default(),
            keep_finished: prune::KEEP_FINISHED,
            bell,
            aside: Aside::default(),
            wake: Arc::default(),
            turn: Notify::new(),
            to_settle: Notify::new(),
            is_stopping: AtomicBool::new(false),
            desk: Mutex::default(),
            claims: Mutex::default(),
        }
    }

    /// The same engine before its start, with other settings.
    pub(super) fn with(&self, keep_finished: Duration, bell: Bell) -> Self {
        let registry = (*self.registry).clone();
        Self {
            keep_finished,
            ..Self::new(self.pool.clone(), self.database_url.clone(), registry, self.config.clone(), bell)
        }
    }

    /// Does something short with a connection, off the async threads.
    pub(super) async fn database<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let pool = self.pool.clone();
        spawn_blocking(move || work(&mut *pool.get_timeout(CONNECTION_WAIT)?)).await?
    }

    /// Claims jobs, off the async threads.
    pub(super) async fn claim(self: &Arc<Self>, limit: usize, look: Look) -> Result<Claimed, Error> {
        let engine = Arc::clone(self);
        spawn_blocking(move || engine.claim_now(limit, look)).await?
    }

    /// Claims jobs. Blocks.
    pub(super) fn claim_now(&self, limit: usize, look: Look) -> Result<Claimed, Error> {
        let config = &self.config;
        let claimer = Claimer { worker: &config.name, queues: &config.queues, lease: config.lease };
        let mut claims = self.claims();
        let mut conn = match claims.conn.take() {
            Some(conn) => conn,
            None => {
                let mut conn = PgConnection::establish(&self.database_url)?;
                claim::prepare(&mut conn)?;
                conn
            }
        };
        let claimed = match look {
            Look::WhereWeWere => claims.places.claim(&mut conn, &claimer, limit),
            Look::FromTheStart => claims.places.claim_from_the_start(&mut conn, &claimer, limit),
        }?;
        claims.conn = Some(conn);
        Ok(claimed)
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until the next look from the start.
    pub(super) fn look_due_in(&self) -> Duration {
        self.claims().places.due_in()
    }

    pub(super) async fn settle(&self, verdicts: Arc<[Verdict]>) -> Result<Vec<JobId>, Error> {
        let (bell, wake) = (self.bell.clone(), Arc::clone(&self.wake));
        self.database(move |conn| {
            let mut ready = Due::default();
            let settled = settle_into(conn, &verdicts, &mut ready)?;
            if !ready.is_none() {
                wake.notify_one();
            }
            bell.ring_for(ready);
            Ok(settled)
        })
        .await
    }

    /// How many jobs may be at work now.
    pub(super) fn slots(&self) -> usize {
        self.aside.places(self.config.concurrency)
    }

    /// From now on nothing is started, until the next run.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// From now on jobs are started.
    pub(super) fn begin(&self) {
        self.is_stopping.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where to look for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Behind the last jobs taken, and from the start when it is time for it.
    WhereWeWere,
    /// From the start.
    FromTheStart,
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
