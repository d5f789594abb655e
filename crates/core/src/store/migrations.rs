//! The schema's migrations, embedded. Every daemon runs them at its start; an advisory lock makes one of them do it.

use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::time::{Instant, sleep};

use super::Database;
use super::database::SESSION_SETTINGS;
use crate::{Error, Result};

/// The files of `migrations/`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Any number that no other program uses on this database.
const LOCK: i64 = 0x6139_7362_6163_6b75;

/// Brings the schema up to date; returns how many migrations were run. Several daemons may call it at once.
///
/// The lock is the session's, because a migration may not be able to run inside one transaction with others.
pub fn run(conn: &mut PgConnection) -> Result<usize> {
    // A migration, and the wait for another daemon's, may take longer than a statement of daily work.
    conn.batch_execute(&format!(
        "SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock({LOCK})"
    ))?;
    let result = conn.run_pending_migrations(MIGRATIONS).map(|done| done.len());
    conn.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK}); {SESSION_SETTINGS}"))?;
    result.map_err(|error| Error::Database(format!("a migration failed: {error}")))
}

/// What a daemon does at its start: waits up to `patience` for the database to be there and writable, then brings the
/// schema up to date. Returns how many migrations were run.
///
/// # Errors
/// [`Error::DatabaseUnavailable`] when it was not there in time; anything else at once.
pub async fn run_at_start(database: &Database, patience: Duration) -> Result<usize> {
    const PAUSE: Duration = Duration::from_secs(2);
    let give_up_at = Instant::now() + patience;
    loop {
        let pool = database.pool().clone();
        let attempt = tokio::task::spawn_blocking(move || run(&mut *pool.get()?))
            .await
            .map_err(|error| Error::Internal(format!("a database task ended early: {error}")))?;
        match attempt {
            Err(Error::DatabaseUnavailable(why)) if Instant::now() + PAUSE < give_up_at => {
                tracing::warn!("waiting for the database: {why}");
                sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether the schema lacks a migration of this program.
pub fn are_pending(conn: &mut PgConnection) -> Result<bool> {
    conn.has_pending_migration(MIGRATIONS).map_err(|error| Error::Database(error.to_string()))
}
