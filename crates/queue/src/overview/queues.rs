//! One line per queue.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};

use crate::Error;

/// No count goes beyond this; a queue that shows it has at least so many. Scheduled, running and failed jobs are capped
/// over all queues together.
pub const COUNT_CAP: i64 = 100_000;

/// The state of one queue.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct QueueOverview {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub queue: String,
    /// Jobs that could be claimed now.
    #[diesel(sql_type = BigInt)]
    pub ready: i64,
    /// Jobs whose time has not come.
    #[diesel(sql_type = BigInt)]
    pub scheduled: i64,
    /// Jobs a worker holds.
    #[diesel(sql_type = BigInt)]
    pub running: i64,
    /// Jobs that failed for good in the last 24 hours.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// Since when the longest waiting ready job is due.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest_ready_at: Option<DateTime<Utc>>,
    /// Names of the live workers that serve the queue, sorted.
    #[diesel(sql_type = Array<Text>)]
    pub served_by: Vec<String>,
}

/// Describes each of the `known` queues, in their order. Proven by `the_overview_counts_each_state`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn queues(conn: &mut PgConnection, known: &[&str]) -> Result<Vec<QueueOverview>, Error> {
    let statement = format!(
        "with waiting as materialized (
             select queue, 'scheduled' as state from (select queue from jobs where not is_due limit {COUNT_CAP}) as scheduled
             union all
             select queue, 'running' from (select queue from running_jobs limit {COUNT_CAP}) as running
             union all
             select queue, 'failed' from (
                 select queue from finished_jobs
                 where outcome = 'failed' and finished_at > now() - interval '24 hours' limit {COUNT_CAP}) as failed
         ),
         counted as (
             select queue,
                    count(*) filter (where state = 'scheduled') as scheduled,
                    count(*) filter (where state = 'running') as running,
                    count(*) filter (where state = 'failed') as failed
             from waiting group by queue
         )
         select known.queue, ready.ready, ready.oldest_ready_at, coalesce(scheduled, 0) as scheduled,
                coalesce(running, 0) as running, coalesce(failed, 0) as failed,
                array(select name from job_workers where live_until > now() and known.queue = any (queues) order by name)
                    as served_by
         from unnest($1) with ordinality as known (queue, position)
         cross join lateral (
             select count(*) as ready, min(run_at) as oldest_ready_at
             from (select run_at from jobs where jobs.queue = known.queue and is_due and claimed_by is null
                   order by priority, run_at, id limit {COUNT_CAP}) as line
         ) as ready
         left join counted on counted.queue = known.queue
         order by position"
    );
    Ok(diesel::sql_query(statement).bind::<Array<Text>, _>(known).load(conn)?)
}

/// Lists those of the `known` queues that no live worker serves, in their order.
/// Proven by `a_queue_without_a_live_worker_is_unserved`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn unserved(conn: &mut PgConnection, known: &[&str]) -> Result<Vec<String>, Error> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        queue: String,
    }
    let names: Vec<Name> = diesel::sql_query(
        "select queue from unnest($1) with ordinality as known (queue, position)
         where not exists (select from job_workers where live_until > now() and known.queue = any (queues))
         order by position",
    )
    .bind::<Array<Text>, _>(known)
    .load(conn)?;
    Ok(names.into_iter().map(|name| name.queue).collect())
}
