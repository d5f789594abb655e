//! The first steps of every daemon with a database: wait for it, and bring its schema up to date.

use std::time::{Duration, Instant};

use backup_core::Error;
use backup_core::store::{Database, migrations};
use backup_daemon::exit::{Failure, chain};

use crate::settings::Settings;

/// Pause between two attempts to reach the database.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens the configured database and migrates it. While it is unreachable, tries again for
/// `database.connect_timeout`; then the failure has the exit code for a service that is unavailable.
pub async fn open_database(settings: &Settings) -> Result<Database, Failure> {
    let database = settings.database();
    let give_up = Instant::now() + settings.database.connect_timeout.get();
    loop {
        match migrate(&database).await {
            Ok(0) => return Ok(database),
            Ok(count) => {
                tracing::info!(count, "the database's schema was brought up to date");
                return Ok(database);
            }
            Err(error @ Error::DatabaseUnavailable(_)) if Instant::now() < give_up => {
                tracing::warn!(error = chain(&error), "the database cannot be reached; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error @ Error::DatabaseUnavailable(_)) => return Err(Failure::unavailable(error)),
            Err(error) => return Err(Failure::failed(error)),
        }
    }
}

async fn migrate(database: &Database) -> Result<usize, Error> {
    let pool = database.pool().clone();
    let task = tokio::task::spawn_blocking(move || migrations::run(&mut *pool.get()?));
    task.await.map_err(|error| Error::Internal(format!("the migration ended early: {error}")))?
}
