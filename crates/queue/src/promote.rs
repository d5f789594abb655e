//! Putting scheduled jobs whose time has come in line, so that the claim never has to read past future ones.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::Error;
use crate::bell::Due;

/// Makes up to `limit` due scheduled jobs ready, longest due first, and returns how many they were.
/// Proven by `scheduled_jobs_become_ready_in_bounded_batches`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn promote(conn: &mut PgConnection, limit: usize) -> Result<usize, Error> {
    promote_into(conn, limit, &mut Due::default())
}

/// The same, noting the queues in which something has become ready.
pub(crate) fn promote_into(conn: &mut PgConnection, limit: usize, ready: &mut Due) -> Result<usize, Error> {
    // As an array, the places tell the planner no number that would make it read the whole table.
    let promoted: Vec<Promoted> = diesel::sql_query(format!(
        "update jobs set is_due = true
         where ctid = any (array(
             select ctid from jobs where not is_due and run_at <= now()
             order by run_at limit {limit}
             for no key update skip locked
         ))
         returning queue"
    ))
    .load(conn)?;
    ready.add(promoted.iter().map(|job| job.queue.as_str()));
    Ok(promoted.len())
}

#[derive(QueryableByName)]
struct Promoted {
    #[diesel(sql_type = Text)]
    queue: String,
}
