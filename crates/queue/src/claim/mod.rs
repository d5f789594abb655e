//! Taking the next due jobs of a worker's queues: one short statement, whatever stands in line.
//! Why it has this shape, and what it costs, is told in `docs/queue.md`; `places.rs` spares it what was passed already.

mod places;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
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
    let queues = claimer.queues.iter().map(String::as_str).collect();
    Claim {
        sql: statement(limit),
        worker: claimer.worker,
        lease: seconds(claimer.lease),
        queues,
        places: None,
    }
    .load(conn)
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
    let claim = Claim {
        sql: if places.len() == 1 { statement_behind_place(limit) } else { statement_behind_places(limit) },
        worker: claimer.worker,
        lease: seconds(claimer.lease),
        queues: each().map(|(line, _)| line.queue.as_str()).collect(),
        places: Some(Behind {
            priorities: each().map(|(line, _)| line.priority).collect(),
            times: each().map(|(_, place)| place.run_at).collect(),
            ids: each().map(|(_, place)| place.id).collect(),
        }),
    };
    claim.load(conn)
}

/// Makes a connection one for claims, and for nothing else: their statements are planned once, with limits that are unlike
/// those the planner would assume, and always along the index, however empty the table was on that day.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn prepare(conn: &mut PgConnection) -> Result<(), Error> {
    Ok(conn.batch_execute(
        "set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan",
    )?)
}

/// The claim statement for `limit` jobs; `$1` worker, `$2` lease in seconds, `$3` queues.
///
/// Reading comes first and locks nothing: one limited index scan per queue, which passes over what runs. Only then are the
/// best `limit` of these few locked, passing over what others hold, and only these. The limits are literals, since the
/// planner would assume a tenth of the table. Rows are found again by their place in the table, which costs no index
/// anything; one that has moved meanwhile is left for the next claim. `noted` names the jobs to whoever looks for expired
/// leases.
#[must_use]
pub fn statement(limit: usize) -> String {
    claiming(limit, &among_lines(limit, "unnest($3::text[]) as served (queue)", "jobs.queue = served.queue"))
}

/// The same behind remembered places; in addition `$4` priorities, `$5` times and `$6` ids, one per queue in `$3`.
#[must_use]
pub fn statement_behind_places(limit: usize) -> String {
    let served = "unnest($3::text[], $4::int2[], $5::timestamptz[], $6::bigint[]) as served (queue, priority, run_at, id)";
    let is_served = "jobs.queue = served.queue and jobs.priority = served.priority
                     and (jobs.run_at, jobs.id) > (served.run_at, served.id)";
    claiming(limit, &among_lines(limit, served, is_served))
}

/// The same behind one remembered place, with the same parameters, each an array of one. The next in a single line are the
/// best, so they are locked where they are read, without a second look for them.
#[must_use]
pub fn statement_behind_place(limit: usize) -> String {
    claiming(
        limit,
        "queue = ($3::text[])[1] and priority = ($4::int2[])[1]
             and (run_at, id) > (($5::timestamptz[])[1], ($6::bigint[])[1]) and is_due and claimed_by is null",
    )
}

/// Locks few of the best of several lines: those of the best of each.
fn among_lines(limit: usize, served: &str, is_served: &str) -> String {
    let read = limit.saturating_add(SPARE);
    format!(
        "is_due and claimed_by is null and ctid = any (array(
                 select candidate.ctid
                 from {served}
                 cross join lateral (
                     select ctid from jobs
                     where {is_served} and is_due and claimed_by is null
                     order by priority, run_at, id
                     limit {read}
                 ) as candidate
             ))"
    )
}

fn claiming(limit: usize, is_candidate: &str) -> String {
    format!(
        "with given as (
             select $1::text as worker, make_interval(secs => $2::float8) as lease
         ),
         best as materialized (
             select ctid, id from jobs
             where {is_candidate}
             order by priority, run_at, id
             limit {limit}
             for no key update skip locked
         ),
         noted as (
             insert into job_claims (job_ids, look_at)
             select array_agg(id), clock_timestamp() + (select lease from given) from best having count(*) > 0
         )
         update jobs
         set attempt = attempt + 1, claim = claim + 1, claimed_by = (select worker from given),
             claimed_at = clock_timestamp(), lease_expires_at = clock_timestamp() + (select lease from given)
         from best
         where jobs.ctid = best.ctid
         returning jobs.id, queue, kind, arguments, priority, run_at, attempt, max_attempts, claim"
    )
}

/// Not a `sql_query`, which is parsed and planned anew each time.
#[derive(Debug)]
struct Claim<'a> {
    sql: String,
    worker: &'a str,
    lease: f64,
    queues: Vec<&'a str>,
    places: Option<Behind>,
}

/// Places in the lines of the queues, as arrays.
#[derive(Debug)]
struct Behind {
    priorities: Vec<i16>,
    times: Vec<DateTime<Utc>>,
    ids: Vec<i64>,
}

impl Claim<'_> {
    fn load(self, conn: &mut PgConnection) -> Result<Vec<Row>, Error> {
        let mut rows: Vec<Row> = RunQueryDsl::load(self, conn)?;
        // RETURNING promises no order.
        rows.sort_by_key(|row| (row.priority, row.run_at, row.id));
        Ok(rows)
    }
}

impl QueryFragment<Pg> for Claim<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Parameters stand in the text once each, in order.
        let mut pieces =
            self.sql.split('$').map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_digit()));
        let mut next = || pieces.next().unwrap_or_default();
        out.push_sql(next());
        out.push_bind_param::<Text, _>(self.worker)?;
        out.push_sql(next());
        out.push_bind_param::<Double, _>(&self.lease)?;
        out.push_sql(next());
        out.push_bind_param::<Array<Text>, _>(&self.queues)?;
        out.push_sql(next());
        if let Some(places) = &self.places {
            out.push_bind_param::<Array<SmallInt>, _>(&places.priorities)?;
            out.push_sql(next());
            out.push_bind_param::<Array<Timestamptz>, _>(&places.times)?;
            out.push_sql(next());
            out.push_bind_param::<Array<BigInt>, _>(&places.ids)?;
            out.push_sql(next());
        }
        Ok(())
    }
}

impl QueryId for Claim<'_> {
    type QueryId = ();

    // The text is the key.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Claim<'_> {
    type SqlType = (BigInt, Text, Text, Jsonb, SmallInt, Timestamptz, Integer, Integer, Integer);
}

impl RunQueryDsl<PgConnection> for Claim<'_> {}

#[derive(Queryable)]
struct Row {
    id: i64,
    queue: String,
    kind: String,
    arguments: serde_json::Value,
    priority: i16,
    run_at: DateTime<Utc>,
    attempt: i32,
    max_attempts: i32,
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
