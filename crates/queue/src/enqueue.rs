//! Putting jobs into the queue, always in the caller's transaction: they exist exactly if what the caller wrote exists.

use diesel::OptionalExtension;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Double, Integer, Jsonb, Nullable, SmallInt, Text};
use serde_json::Value;

use crate::bell::{Due, announcing};
use crate::sql::seconds;
use crate::{Error, JobId, NewJob};

/// What became of an [`enqueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The job was added.
    New(JobId),
    /// An unfinished job (ready, scheduled or running) with this unique key is there already; nothing was added.
    Existing(JobId),
}

impl Enqueued {
    /// The job with this key or this content, whichever call added it.
    #[must_use]
    pub fn id(self) -> JobId {
        match self {
            Self::New(id) | Self::Existing(id) => id,
        }
    }
}

/// Adds a job in the caller's transaction, and wakes idle runners when that has been committed.
/// Proven by `a_job_appears_only_when_the_caller_commits` and `a_unique_key_admits_one_unfinished_job`.
///
/// # Errors
/// [`Error::Database`] from the statement; [`Error::Contended`] if the unique key kept appearing and vanishing.
pub fn enqueue(conn: &mut PgConnection, job: &NewJob) -> Result<Enqueued, Error> {
    // The job that stood in the way may be finished before we read its id; then ours is free to go in.
    for _ in 0..5 {
        if let [id, ..] = insert(conn, &[job])?.as_slice() {
            return Ok(Enqueued::New(*id));
        }
        if let Some(id) = find_by_key(conn, job.unique_key.as_deref())? {
            return Ok(Enqueued::Existing(id));
        }
    }
    Err(Error::Contended(job.unique_key.clone().unwrap_or_default()))
}

/// Adds many jobs with one statement and returns how many were new; those whose unique key is taken are left out.
/// Proven by `many_jobs_go_in_with_one_statement`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn enqueue_many(conn: &mut PgConnection, jobs: &[NewJob]) -> Result<usize, Error> {
    if jobs.is_empty() {
        return Ok(0);
    }
    let mut sorted: Vec<&NewJob> = jobs.iter().collect();
    // Two transactions that insert the same keys in different orders would deadlock.
    sorted.sort_by_key(|job| &job.unique_key);
    Ok(insert(conn, &sorted)?.len())
}

/// Makes the unfinished job with this unique key due now; `false` if there is none. One that is being run at this moment
/// may have looked already at what has changed: if it is to run again at all, it does so at once, however long its
/// handler wanted it to wait.
/// Proven by `run_now_makes_a_waiting_job_due` and `a_running_job_that_is_woken_runs_again_at_once`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn run_now(conn: &mut PgConnection, unique_key: &str) -> Result<bool, Error> {
    let moved = announcing(conn, Due::any(), |conn| {
        Ok(diesel::sql_query(
            "update jobs
             set is_due = true, run_at = least(run_at, now()), is_woken = claimed_by is not null
             where unique_key = $1",
        )
        .bind::<Text, _>(unique_key)
        .execute(conn)?)
    })?;
    Ok(moved > 0)
}

/// One statement, however many jobs. Not a `sql_query`, which is parsed and planned anew each time: this one is prepared
/// once per connection, because requests send it.
#[derive(Debug)]
struct Insert<'a> {
    queues: Vec<&'a str>,
    kinds: Vec<&'a str>,
    arguments: Vec<&'a Value>,
    priorities: Vec<i16>,
    delays: Vec<f64>,
    unique_keys: Vec<Option<&'a str>>,
    max_attempts: Vec<i32>,
}

impl QueryFragment<Pg> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "
        insert into jobs (queue, kind, arguments, priority, is_due, run_at, unique_key, max_attempts)
        select queue, kind, arguments, priority, delay <= 0,
               now() + make_interval(secs => delay), unique_key, max_attempts
        from unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.queues)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<Text>, _>(&self.kinds)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<Jsonb>, _>(&self.arguments)?;
        out.push_sql("::jsonb[], ");
        out.push_bind_param::<Array<SmallInt>, _>(&self.priorities)?;
        out.push_sql("::smallint[], ");
        out.push_bind_param::<Array<Double>, _>(&self.delays)?;
        out.push_sql("::float8[], ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.unique_keys)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<Integer>, _>(&self.max_attempts)?;
        out.push_sql(
            "::integer[]) with ordinality
             as new (queue, kind, arguments, priority, delay, unique_key, max_attempts, position)
        order by position
        on conflict (unique_key) where unique_key is not null do nothing
        returning id",
        );
        Ok(())
    }
}

impl QueryId for Insert<'_> {
    type QueryId = Insert<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Insert<'_> {
    type SqlType = BigInt;
}

impl RunQueryDsl<PgConnection> for Insert<'_> {}

fn insert(conn: &mut PgConnection, jobs: &[&NewJob]) -> Result<Vec<JobId>, Error> {
    let insert = Insert {
        queues: jobs.iter().map(|job| job.queue.as_str()).collect(),
        kinds: jobs.iter().map(|job| job.kind.as_str()).collect(),
        arguments: jobs.iter().map(|job| &job.arguments).collect(),
        priorities: jobs.iter().map(|job| job.priority).collect(),
        delays: jobs.iter().map(|job| seconds(job.delay)).collect(),
        unique_keys: jobs.iter().map(|job| job.unique_key.as_deref()).collect(),
        max_attempts: jobs.iter().map(|job| job.max_attempts).collect(),
    };
    let mut due = Due::default();
    due.add(jobs.iter().filter(|job| job.delay.is_zero()).map(|job| job.queue.as_str()));
    announcing(conn, due, |conn| Ok(insert.load::<i64>(conn)?.into_iter().map(JobId).collect()))
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

fn find_by_key(conn: &mut PgConnection, unique_key: Option<&str>) -> Result<Option<JobId>, Error> {
    let found: Option<Found> = diesel::sql_query("select id from jobs where unique_key = $1")
        .bind::<Nullable<Text>, _>(unique_key)
        .get_result(conn)
        .optional()?;
    Ok(found.map(|row| JobId(row.id)))
}
