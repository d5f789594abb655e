//! The product's tables, with Diesel. Row structs stay private here; functions speak domain types and take the
//! caller's connection, because only actions open transactions. Functions: `find_` may be absent, `get_` is an error
//! when absent.

pub mod audit_events;
pub mod backups;
pub mod deletions;
pub mod encryption_keys;
pub mod listings;
pub mod migrations;
pub mod operations;
pub mod restores;
pub mod retention_facts;
pub mod row_counts;
mod schema;
pub mod service_brokers;
pub mod service_instances;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, NopErrorHandler, Pool};

use crate::{Error, Result};

/// The pool of connections of a process.
pub type ConnectionPool = Pool<ConnectionManager<PgConnection>>;

/// The product's database. Work runs on blocking threads; transactions are short.
#[derive(Debug, Clone)]
pub struct Database {
    pool: ConnectionPool,
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
        Self { pool }
    }

    /// Wraps a pool the caller has built.
    pub fn from_pool(pool: ConnectionPool) -> Self {
        Self { pool }
    }

    /// The pool, for the queue's runner.
    pub fn pool(&self) -> &ConnectionPool {
        &self.pool
    }

    /// Runs `work` in one transaction. It must be short and make no remote call.
    pub async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T> + Send + 'static,
    {
        let (pool, span) = (self.pool.clone(), tracing::Span::current());
        tokio::task::spawn_blocking(move || span.in_scope(|| (*pool.get()?).transaction(work)))
            .await
            .map_err(|error| Error::Internal(format!("a database task ended early: {error}")))?
    }
}

/// The database's clock: the only one decisions are made with, so that a host with a wrong clock decides nothing.
pub fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(diesel::select(diesel::dsl::now.into_sql::<diesel::sql_types::Timestamptz>()).get_result(conn)?)
}

/// Adds bounds to a connection string that does not set them itself: libpq waits for ever by default, but a daemon must
/// notice a host that lost its power, also while it waits for an answer.
#[must_use]
pub fn connection_string(url: &str) -> String {
    const BOUNDS: [(&str, &str); 5] = [
        ("connect_timeout", "5"),
        ("tcp_user_timeout", "10000"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
    ];
    let mut url = url.to_owned();
    let is_uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
    for (key, value) in BOUNDS {
        if url.contains(key) {
            continue;
        }
        url.push(if !is_uri {
            ' '
        } else if url.contains('?') {
            '&'
        } else {
            '?'
        });
        url.push_str(key);
        url.push('=');
        url.push_str(value);
    }
    url
}

/// See [`SessionSettings`].
const SESSION_SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '60s'; SET TIME ZONE 'UTC'";

/// Bounds for every statement of ours, so that a stuck one gives its connection back.
#[derive(Debug)]
struct SessionSettings;

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for SessionSettings {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        conn.batch_execute(SESSION_SETTINGS).map_err(diesel::r2d2::Error::QueryError)
    }
}

#[cfg(test)]
mod tests {
    use super::connection_string;

    #[test]
    fn both_forms_of_a_connection_string_get_bounds_once() {
        let uri = connection_string("postgres://h/d");
        assert!(
            uri.starts_with("postgres://h/d?connect_timeout=5&tcp_user_timeout=10000&keepalives_idle=10"),
            "{uri}"
        );
        let own = connection_string("postgresql://h/d?connect_timeout=1");
        assert!(own.starts_with("postgresql://h/d?connect_timeout=1&tcp_user_timeout=10000"), "{own}");
        let words = connection_string("host=h,i dbname=d");
        assert!(words.starts_with("host=h,i dbname=d connect_timeout=5 tcp_user_timeout=10000"), "{words}");
        assert_eq!(connection_string(&words), words);
    }
}
