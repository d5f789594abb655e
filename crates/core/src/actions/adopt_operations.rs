//! Finds unfinished operations, reconciliations and rebuilds that no job would move on, and gives them one: after a job was
//! lost to a defect, to an operator's hand or to exhausted attempts, nothing stays `queued` or `running` for ever.

use std::time::Duration;

use backup_queue::age::age;
use diesel::PgConnection;

use super::places::give_places;
use crate::manager::Manager;
use crate::store::{catalogue_rebuilds, operations, places, reconciliations};
use crate::{Result, jobs};

/// Rows per sweep; the next sweep takes the rest.
const LIMIT: i64 = 1000;

/// Scheduled starts that a sweep lets go in front: a share, not all that wait.
const MOST_AGED: usize = 100;

/// Enqueues what is missing; returns how many jobs. Unique keys make it harmless to run on every worker.
pub async fn adopt_operations(manager: &Manager) -> Result<usize> {
    let settings = manager.settings();
    manager.database.transaction(tidy_places(manager.policy().limits.are_any())).await?;
    let given = give_places(manager, None).await?.len();
    if given > 0 {
        tracing::info!(given, "places under the limits of running backups were free, and somebody waited");
    }
    manager.database.transaction(|conn| Ok(age(conn, jobs::AGEING, MOST_AGED)?)).await?;
    let adopted = manager
        .database
        .transaction(move |conn| {
            let mut missing = Vec::new();
            for found in operations::list_without_job(conn, "queued", "start", LIMIT)? {
                missing.push(jobs::start_operation(
                    found.kind,
                    found.id,
                    found.is_scheduled,
                    Duration::ZERO,
                    &settings.policy,
                ));
            }
            for found in operations::list_without_job(conn, "running", "check", LIMIT)? {
                missing.push(jobs::check_operation(found.kind, found.id, Duration::ZERO));
            }
            for id in reconciliations::list_without_job(conn, LIMIT)? {
                missing.push(jobs::reconcile(Some(id)));
            }
            for id in catalogue_rebuilds::list_without_job(conn, LIMIT)? {
                missing.push(jobs::rebuild_catalogue(id));
            }
            Ok(backup_queue::enqueue_many(conn, &missing)?)
        })
        .await?;
    if adopted > 0 {
        tracing::warn!(adopted, "unfinished operations had no job and were given one");
    }
    Ok(adopted)
}

/// Counts what began before there were limits, so that they hold from now on.
fn tidy_places(are_limited: bool) -> impl FnOnce(&mut PgConnection) -> Result<()> + Send + 'static {
    move |conn| {
        if are_limited {
            places::adopt_running(conn)?;
        }
        places::delete_empty_lines(conn)?;
        Ok(())
    }
}
