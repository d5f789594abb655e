//! Taking the next due jobs of a worker's queues: one short statement, whatever stands in line.
//! Why it has this shape, and what it costs, is told in `docs/queue.md`; `places.rs` spares it what was passed already.

mod places;

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Jsonb, SmallInt, Text, Timestamptz};

use crate::sql::seconds;
use crate::{ClaimedJob, Error, JobId, Lease};

pub use places::{Claimed, Places};
use places::{Line, Place};

/// Candidates read per queue beyond the number wanted, so that those another worker is taking at this very moment
/// can be passed over.
const SPARE: usize = 16;

/// Who claims, and what.
#[derive(Debug, Clone)]
pub struct Claimer<'a> {
    /// Name of the worker, written into the job's row.
    pub worker: &'a str,
    /// The queues it serves.
    pub queues: &'a [String],
    /// How long it holds a job without a heartbeat.
    pub lease: Duration,
}

/// Claims up to `limit` ready jobs of the claimer's queues, lowest priority number first, then longest due.
/// Proven by `jobs_are_claimed_by_priority_then_by_time`, `two_claimers_never_share_a_job` and
/// `the_claim_reads_a_bounded_number_of_rows_whatever_the_backlog`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn claim(conn: &mut PgConnection, claimer: &Claimer<'_>, limit: usize) -> Result<Vec<ClaimedJob>, Error> {
    Ok(from_the_start(conn, claimer, limit)?.into_iter().map(Row::into_job).collect())
}

fn from_the_start(conn: &mut PgConnection, claimer: &Claimer<'_>, limit: usize) -> Result<Vec<Row>, Error> {
    if limit == 0 || claimer.queues.is_empty() {
        return Ok(Vec::new());
    }
    let rows = diesel::sql_query(statement(limit))
        .bind::<Array<Text>, _>(claimer.queues)
        .bind::<Text, _>(claimer.worker)
        .bind::<Double, _>(seconds(claimer.lease))
        .load(conn)?;
    Ok(in_order(rows))
}

/// Looks only behind places that were remembered; one per queue and priority.
fn from_places(
    conn: &mut PgConnection,
    claimer: &Claimer<'_>,
    limit: usize,
    places: &[(Line, Place)],
) -> Result<Vec<Row>, Error> {
    if limit == 0 || places.is_empty() {
        return Ok(Vec::new());
    }
    let each = || places.iter();
    let rows = diesel::sql_query(statement_behind_places(limit))
        .bind::<Array<Text>, _>(each().map(|(line, _)| line.queue.as_str()).collect::<Vec<_>>())
        .bind::<Text, _>(claimer.worker)
        .bind::<Double, _>(seconds(claimer.lease))
        .bind::<Array<SmallInt>, _>(each().map(|(line, _)| line.priority).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(each().map(|(_, place)| place.run_at).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(each().map(|(_, place)| place.id).collect::<Vec<_>>())
        .load(conn)?;
    Ok(in_order(rows))
}

/// RETURNING promises no order.
fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| (row.priority, row.run_at, row.id));
    rows
}

/// The claim statement for `limit` jobs; `$1` queues, `$2` worker, `$3` lease in seconds.
///
/// Reading comes first and locks nothing: one limited index scan per queue. Only then are the best `limit` of these few
/// locked, passing over what others hold, and only these. The limits are literals, since a generic plan would assume
/// a tenth of the table. Sent as an unnamed statement, it is planned with its values each time. `state || ''` looks at the
/// few rows named by id in a form that no index answers: with statistics from an emptier day the planner would rather
/// walk the index of all ready rows.
#[must_use]
pub fn statement(limit: usize) -> String {
    claiming(limit, "unnest($1) as served (queue)", "jobs.queue = served.queue")
}

/// The same behind remembered places; in addition `$4` priorities, `$5` times and `$6` ids, one per queue in `$1`.
#[must_use]
pub fn statement_behind_places(limit: usize) -> String {
    claiming(
        limit,
        "unnest($1, $4, $5, $6) as served (queue, priority, run_at, id)",
        "jobs.queue = served.queue and jobs.priority = served.priority
                     and (jobs.run_at, jobs.id) > (served.run_at, served.id)",
    )
}

fn claiming(limit: usize, served: &str, is_served: &str) -> String {
    let read = limit.saturating_add(SPARE);
    format!(
        "with best as materialized (
             select id from jobs
             where state || '' = 'ready' and id = any (array(
                 select candidate.id
                 from {served}
                 cross join lateral (
                     select id from jobs
                     where {is_served} and state = 'ready'
                     order by priority, run_at, id
                     limit {read}
                 ) as candidate
             ))
             order by priority, run_at, id
             limit {limit}
             for no key update skip locked
         )
         update jobs
         set state = 'running', attempt = attempt + 1, claim = claim + 1, claimed_by = $2,
             claimed_at = clock_timestamp(),
             lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         from best
         where jobs.id = best.id
         returning jobs.id, queue, kind, arguments, priority, run_at, attempt, max_attempts, claim"
    )
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Jsonb)]
    arguments: serde_json::Value,
    #[diesel(sql_type = SmallInt)]
    priority: i16,
    #[diesel(sql_type = Timestamptz)]
    run_at: chrono::DateTime<chrono::Utc>,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Integer)]
    max_attempts: i32,
    #[diesel(sql_type = Integer)]
    claim: i32,
}

impl Row {
    fn into_job(self) -> ClaimedJob {
        ClaimedJob {
            id: JobId(self.id),
            queue: self.queue,
            kind: self.kind,
            arguments: self.arguments,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            lease: Lease { job: JobId(self.id), claim: self.claim },
        }
    }
}
