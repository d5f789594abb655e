//! The way to a transaction: who may wait for a connection, how long, and who is sent away at once. Waiting costs no
//! thread, so that a database that is slow or frozen ties up as many threads as there are connections and no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
    /// A permit per request that may wait for one of those.
    waiters: Arc<Semaphore>,
    /// Absent when the caller has built the pool.
    url: Option<SecretString>,
    checks: Arc<OnceLock<Database>>,
}

impl Database {
    /// Prepares a pool of at most `size` connections; connects lazily. `patience` bounds the wait for a connection.
    pub fn new(url: &str, size: u32, patience: Duration) -> Self {
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(patience)
            .connection_customizer(Box::new(SessionSettings))
            // r2d2 logs every failed connect as an error of its own; whoever asked for a connection tells it once.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(ConnectionManager::new(connection_string(url)));
        Self { url: Some(SecretString::from(url)), patience, ..Self::from_pool(pool) }
    }

    /// Wraps a pool the caller has built.
    pub fn from_pool(pool: ConnectionPool) -> Self {
        let size = usize::try_from(pool.max_size()).unwrap_or(1);
        Self {
            patience: pool.connection_timeout(),
            pool,
            connections: Arc::new(Semaphore::new(size)),
            waiters: Arc::new(Semaphore::new(size.saturating_mul(WAITERS_PER_CONNECTION))),
            url: None,
            checks: Arc::default(),
        }
    }

    /// The pool, for the queue's runner.
    pub fn pool(&self) -> &ConnectionPool {
        &self.pool
    }

    /// The same database over one connection that is kept for health checks, so that they wait for nobody else's work.
    pub fn for_checks(&self) -> Self {
        match &self.url {
            Some(url) => {
                self.checks.get_or_init(|| Self::new(url.expose_secret(), 1, CHECK_PATIENCE)).clone()
            }
            None => self.clone(),
        }
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
        let (pool, span, turn) = (self.pool.clone(), tracing::Span::current(), Turn::default());
        let theirs = Arc::clone(&turn.0);
        let mut task = tokio::task::spawn_blocking(move || {
            span.in_scope(|| {
                let _permit = permit;
                // This also asks the connection whether it works, which a frozen database does not answer.
                let mut conn = pool.get_timeout(until.saturating_duration_since(Instant::now()))?;
                match theirs.swap(true, Ordering::SeqCst) {
                    true => Err(late()),
                    false => (*conn).transaction(work),
                }
            })
        });
        let outcome = match timeout_at(until + SLACK, &mut task).await {
            Ok(outcome) => outcome,
            Err(_) if turn.take() => return Err(late()),
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

/// Decides between beginning the work and giving it up: whoever takes it first. Given up when dropped.
#[derive(Debug, Default)]
struct Turn(Arc<AtomicBool>);

impl Turn {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// See [`SessionSettings`].
pub(super) const SESSION_SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '60s'; SET TIME ZONE 'UTC'";

/// Bounds for every statement of ours, so that a stuck one gives its connection back.
#[derive(Debug)]
struct SessionSettings;

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for SessionSettings {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        conn.batch_execute(SESSION_SETTINGS).map_err(diesel::r2d2::Error::QueryError)
    }
}
