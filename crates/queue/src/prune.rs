//! Letting go of old finished jobs, attempts and vanished workers, in bounded batches.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Double;

use crate::Error;
use crate::sql::seconds;

/// How long finished jobs and attempts are kept unless said otherwise.
pub const KEEP_FINISHED: Duration = Duration::from_secs(14 * 86_400);

/// Removes up to `limit` finished jobs and as many attempts older than `keep`, and workers not seen for a day; returns
/// how many rows went. Proven by `old_finished_jobs_are_pruned_in_bounded_batches`.
///
/// # Errors
/// [`Error::Database`] from a statement.
pub fn prune(conn: &mut PgConnection, keep: Duration, limit: usize) -> Result<usize, Error> {
    let finished = diesel::sql_query(format!(
        "delete from finished_jobs where ctid = any (array(
             select ctid from finished_jobs where finished_at < now() - make_interval(secs => $1)
             order by finished_at limit {limit} for update skip locked))"
    ))
    .bind::<Double, _>(seconds(keep))
    .execute(conn)?;
    let attempts = diesel::sql_query(format!(
        "delete from job_attempts where ctid = any (array(
             select ctid from job_attempts where finished_at < now() - make_interval(secs => $1)
             order by finished_at limit {limit} for update skip locked))"
    ))
    .bind::<Double, _>(seconds(keep))
    .execute(conn)?;
    let workers = diesel::sql_query("delete from job_workers where live_until < now() - interval '1 day'")
        .execute(conn)?;
    Ok(finished + attempts + workers)
}
