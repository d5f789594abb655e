//! Forgets what has been over for long enough: old rows of every table that would otherwise only grow. Which table is let go
//! of when is in `docs/operations.md`; rows of backups are none of its business, they go when their objects have gone.

use backup_queue::{ClaimedJob, Outcome};

use crate::Result;
use crate::manager::Manager;
use crate::store::history::{self, Table};

/// Rows per transaction: none of them takes longer than a blink, so nobody waits for it.
pub const BATCH: i64 = 2000;

/// Batches of one table per run; the next run takes the rest.
const BATCHES: usize = 500;

/// Removes what is old, table by table and batch by batch. A run that is killed has removed whole batches; the next one
/// goes on.
pub async fn prune_history(manager: &Manager, job: &ClaimedJob) -> Result<Outcome> {
    for table in Table::ALL {
        let mut rows = 0_usize;
        for _ in 0..BATCHES {
            let (lease, settings) = (job.lease.clone(), manager.settings());
            let removed = manager
                .database
                .transaction(move |conn| {
                    lease.confirm(conn)?;
                    history::delete_old(conn, table, &settings.policy.history, BATCH)
                })
                .await?;
            rows = rows.saturating_add(removed);
            if i64::try_from(removed).is_ok_and(|removed| removed < BATCH) {
                break;
            }
        }
        if rows > 0 {
            tracing::info!(table = table.name(), rows, "forgot what has been over for long enough");
        }
    }
    Ok(Outcome::Done)
}
