//! The way to a transaction: who may wait for a connection, how long, and who is sent away at once. Waiting costs no
//! thread, so that a database that is slow or frozen ties up as many threads as there are connections and no more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use backup_queue::Bell;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, NopErrorHandler, Pool};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::connection_string;
use crate::{Error, Result};

/// The pool of connections of a process.
pub type ConnectionPool = Pool<ConnectionManager<PgConnection>>;

/// How many may wait for a connection, per connection of the pool. One more is sent away at once: a queue that cannot be
/// worked off within the patience helps nobody.
const WAITERS_PER_CONNECTION: usize = 100;

/// After a burst, connections are given back. They do not end for their age: to connect anew costs seconds when the first
/// host of the URL is without power.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long a health check may wait for its connection.
const CHECK_PATIENCE: Duration = Duration::from_secs(2);

/// The pool itself reports a little before the wait for it is given up, and its error says more.
const SLACK: Duration = Duration::from_millis(100);

/// The product's database. Work runs on blocking threads; transactions are short.
#[derive(Debug, Clone)]
pub struct Database {
    pool: ConnectionPool,
    patience: Duration,
    /// A permit per connection; held by the thread that works, also when nobody waits for its result any more.
    connections: Arc<Semaphore>,
    /// How often work on a connection has ended.
    ended: Arc<AtomicU64>,
    /// A permit per request that may wait for one of those.
    waiters: Arc<Semaphore>,
    /// Absent when the caller has built the pool.
    url: Option<SecretString>,
    /// Rung on its connections after the commit of what enqueues jobs. Absent when the caller has built the pool.
    bell: Option<Bell>,
    checks: Arc<OnceLock<Database>>,
}

impl Database {
    /// Prepares a pool of at most `size` connections; connects lazily. `patience` bounds the wait for a connection.
    pub fn new(url: &str, size: u32, patience: Duration) -> Self {
        Self::with(url, size, patience, Some(IDLE_TIMEOUT))
    }

    fn with(url: &str, size: u32, patience: Duration, idle_timeout: Option<Duration>) -> Self {
        let url = connection_string(url);
        let bell = Bell::new(url.as_str());
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .idle_timeout(idle_timeout)
            .max_lifetime(None)
            .connection_timeout(patience)
            .connection_customizer(Box::new(Session { bell: bell.clone() }))
            // r2d2 logs every failed connect as an error of its own; whoever asked for a connection tells it once.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(ConnectionManager::new(url.as_str()));
        Self { url: Some(SecretString::from(url)), bell: Some(bell), patience, ..Self::from_pool(pool) }
    }

    /// Wraps a pool the caller has built.
    pub fn from_pool(pool: ConnectionPool) -> Self {
        let size = usize::try_from(pool.max_size()).unwrap_or(1);
        Self {
            patience: pool.connection_timeout(),
            pool,
            connections: Arc::new(Semaphore::new(size)),
            ended: Arc::default(),
            waiters: Arc::new(Semaphore::new(size.saturating_mul(WAITERS_PER_CONNECTION))),
            url: None,
            bell: None,
            checks: Arc::default(),
        }
    }

    /// The pool, for the queue's runner.
    pub fn pool(&self) -> &ConnectionPool {
        &self.pool
    }

    /// What wakes idle runners when jobs were enqueued, for the queue's runner. None when the caller has built the pool.
    pub fn bell(&self) -> Option<&Bell> {
        self.bell.as_ref()
    }

    /// The same database over one connection that is kept for health checks, so that they wait for nobody else's work.
    pub fn for_checks(&self) -> Self {
        match &self.url {
            Some(url) => {
                let connect = || Self::with(url.expose_secret(), 1, CHECK_PATIENCE, None);
                self.checks.get_or_init(connect).clone()
            }
            None => self.clone(),
        }
    }

    /// The same database over another connection, a new one. None when the caller has built the pool.
    pub(super) fn anew(&self) -> Option<Self> {
        let url = self.url.as_ref()?;
        Some(Self::with(url.expose_secret(), 1, CHECK_PATIENCE, None))
    }

    /// While every connection is at work: how often such work has ended yet. With a working database, that moves.
    pub(super) fn pulse(&self) -> Option<u64> {
        (self.connections.available_permits() == 0).then(|| self.ended.load(Ordering::Relaxed))
    }

    /// Runs `work` in one transaction. It must be short and make no remote call.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] when no working connection was free in time, or too many wait already; `work` was
    /// not begun then, and never will be.
    pub async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T> + Send + 'static,
    {
        let until = Instant::now() + self.patience;
        let permit = self.permit(until).await?;
        let (pool, span, turn) = (self.pool.clone(), tracing::Span::current(), Turn::with(permit));
        let (theirs, ended) = (Arc::clone(&turn.0), Arc::clone(&self.ended));
        let mut task = tokio::task::spawn_blocking(move || {
            span.in_scope(|| {
                let _permit = theirs.permit().ok_or_else(late)?;
                // This also asks the connection whether it works, which a frozen database does not answer.
                let mut conn = pool.get_timeout(until.saturating_duration_since(Instant::now()))?;
                let outcome = if theirs.decide() { (*conn).transaction(work) } else { Err(late()) };
                ended.fetch_add(1, Ordering::Relaxed);
                outcome
            })
        });
        let outcome = match timeout_at(until + SLACK, &mut task).await {
            Ok(outcome) => outcome,
            Err(_) if turn.0.decide() => return Err(late()),
            Err(_) => task.await,
        };
        outcome.map_err(|error| Error::Internal(format!("a database task ended early: {error}")))?
    }

    async fn permit(&self, until: Instant) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Ok(permit);
        }
        let crowded =
            |_| Error::DatabaseUnavailable("too many requests wait for a connection already".to_owned());
        let _waiter = self.waiters.try_acquire().map_err(crowded)?;
        match timeout_at(until, Arc::clone(&self.connections).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }
}

fn late() -> Error {
    Error::DatabaseUnavailable("no connection was free, or none answered, in time".to_owned())
}

/// The caller's side of a piece of work, which is given up when this is dropped.
#[derive(Debug)]
struct Turn(Arc<Decision>);

/// Begin or give up: whoever decides first. The permit is taken by the thread when there is one, or else given back with
/// the work, so that the connections stay usable however long a thread is waited for.
#[derive(Debug)]
struct Decision {
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    is_made: AtomicBool,
}

impl Turn {
    fn with(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Decision { permit: Mutex::new(Some(permit)), is_made: AtomicBool::new(false) }))
    }
}

impl Decision {
    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// False when the other side has decided.
    fn decide(&self) -> bool {
        !self.is_made.swap(true, Ordering::SeqCst)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.decide();
        drop(self.0.permit());
    }
}

/// See [`Session`].
pub(super) const SESSION_SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '60s'; SET TIME ZONE 'UTC'";

/// What every connection of ours is given: bounds for its statements, so that a stuck one gives the connection back, and the
/// queue's bell, so that no transaction that enqueues a job can forget to ring it.
#[derive(Debug)]
struct Session {
    bell: Bell,
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        self.bell.attach(conn);
        conn.batch_execute(SESSION_SETTINGS).map_err(diesel::r2d2::Error::QueryError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_found_no_thread_in_time_gives_its_permit_back() {
        let mut one_thread = tokio::runtime::Builder::new_current_thread();
        let runtime = one_thread.enable_all().max_blocking_threads(1).build().unwrap();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let hangs = tokio::task::spawn_blocking(move || ended.recv());
            let database = Database::new("postgres://h/d", 1, Duration::from_millis(50));
            let given_up = database.transaction(|_| Ok(())).await;
            assert!(matches!(given_up, Err(Error::DatabaseUnavailable(_))), "{given_up:?}");
            assert_eq!(database.connections.available_permits(), 1);
            drop(end);
            drop(hangs.await);
        });
    }

    #[test]
    fn connections_that_work_are_kept_and_the_one_for_checks_is_kept_for_ever() {
        let database = Database::new("postgres://h/d", 3, Duration::from_secs(5));
        assert_eq!(database.pool().max_lifetime(), None);
        assert_eq!(database.pool().idle_timeout(), Some(IDLE_TIMEOUT));
        let checks = database.for_checks();
        assert_eq!((checks.pool().max_lifetime(), checks.pool().idle_timeout()), (None, None));
    }
}
