//! Putting jobs into the queue, always in the caller's transaction: they exist exactly if what the caller wrote exists.

use diesel::OptionalExtension;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, SmallInt, Text};

use crate::sql::{CHANNEL, seconds};
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

/// Adds a job in the caller's transaction, and wakes idle runners when that commits.
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

/// Makes the unstarted job with this unique key due now; `false` if there is none (a running job does not count).
/// Proven by `run_now_makes_a_waiting_job_due`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn run_now(conn: &mut PgConnection, unique_key: &str) -> Result<bool, Error> {
    let moved = diesel::sql_query(
        "with moved as (
             update jobs set state = 'ready', run_at = least(run_at, now())
             where unique_key = $1 and state in ('ready', 'scheduled')
             returning id
         )
         select pg_notify($2, '')::text from moved",
    )
    .bind::<Text, _>(unique_key)
    .bind::<Text, _>(CHANNEL)
    .execute(conn)?;
    Ok(moved > 0)
}

/// One statement, however many jobs; the wake-up is sent once, and only if something is ready at once.
const INSERT: &str = "
    with inserted as (
        insert into jobs (queue, kind, arguments, priority, state, run_at, unique_key, max_attempts)
        select queue, kind, arguments, priority, case when delay > 0 then 'scheduled' else 'ready' end,
               now() + make_interval(secs => delay), unique_key, max_attempts
        from unnest($1, $2, $3, $4, $5, $6, $7) with ordinality
             as new (queue, kind, arguments, priority, delay, unique_key, max_attempts, position)
        order by position
        on conflict (unique_key) where unique_key is not null do nothing
        returning id, state
    ),
    wake as materialized (
        select pg_notify($8, '') from (select from inserted where state = 'ready' limit 1) as one
    )
    select id, (select count(*) > 0 from wake) as woke from inserted order by id";

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Bool)]
    #[expect(dead_code, reason = "selected so that Postgres evaluates the notification")]
    woke: bool,
}

fn insert(conn: &mut PgConnection, jobs: &[&NewJob]) -> Result<Vec<JobId>, Error> {
    let rows: Vec<Inserted> = diesel::sql_query(INSERT)
        .bind::<Array<Text>, _>(jobs.iter().map(|job| &job.queue).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(jobs.iter().map(|job| &job.kind).collect::<Vec<_>>())
        .bind::<Array<Jsonb>, _>(jobs.iter().map(|job| &job.arguments).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(jobs.iter().map(|job| job.priority).collect::<Vec<_>>())
        .bind::<Array<Double>, _>(jobs.iter().map(|job| seconds(job.delay)).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(jobs.iter().map(|job| job.unique_key.as_ref()).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(jobs.iter().map(|job| job.max_attempts).collect::<Vec<_>>())
        .bind::<Text, _>(CHANNEL)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| JobId(row.id)).collect())
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
