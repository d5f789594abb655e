//! Writing down what became of claimed jobs: one statement for any number of them (and one more for those that are done,
//! which most are), conditional on their leases.
//! The runner, the rescue and the hand-back at shutdown all end here.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text};

use crate::bell::Due;
use crate::sql::{seconds, storable};
use crate::{Backoff, ClaimedJob, Error, JobError, JobId, Lease, Outcome};

/// What is to become of one claimed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The lease under which the job was run.
    pub lease: Lease,
    /// What is to become of it.
    pub ruling: Ruling,
}

/// What is to become of a claimed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It is done, and moves to the finished jobs.
    Done,
    /// There was nothing to do, for this reason; it moves to the finished jobs.
    Discarded(String),
    /// It failed for good with this error, and moves to the finished jobs.
    Failed(String),
    /// It failed with this error and is tried again after the wait.
    Retried(String, Duration),
    /// It runs again after the wait, at no cost of an attempt.
    Snoozed(Duration),
    /// It goes back to its place in line at no cost of an attempt.
    HandedBack,
}

impl Ruling {
    /// Decides what a handler's answer means for a job on its `attempt` of `max_attempts`.
    #[must_use]
    pub fn of(answer: Result<Outcome, JobError>, attempt: i32, max_attempts: i32, backoff: &Backoff) -> Self {
        match answer {
            Ok(Outcome::Done) => Self::Done,
            Ok(Outcome::Snooze(wait)) => Self::Snoozed(wait),
            Ok(Outcome::Discard(reason)) => Self::Discarded(reason),
            Err(error) if error.retry && attempt < max_attempts => {
                Self::Retried(error.message, backoff.delay(attempt))
            }
            Err(error) => Self::Failed(error.message),
        }
    }

    /// The word for it in the database and in logs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Discarded(_) => "discarded",
            Self::Failed(_) => "failed",
            Self::Retried(..) => "retried",
            Self::Snoozed(_) => "snoozed",
            Self::HandedBack => "handed back",
        }
    }

    /// The reason or error that goes with it.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Discarded(text) | Self::Failed(text) | Self::Retried(text, _) => Some(text),
            Self::Done | Self::Snoozed(_) | Self::HandedBack => None,
        }
    }

    fn wait(&self) -> Duration {
        match self {
            Self::Retried(_, wait) | Self::Snoozed(wait) => *wait,
            Self::Done | Self::Discarded(_) | Self::Failed(_) | Self::HandedBack => Duration::ZERO,
        }
    }
}

/// Carries out verdicts and returns the jobs they were carried out on; a job missing from the answer was no longer held
/// by the lease, and nothing was written for it. Proven by `only_the_holder_can_finish_a_job`.
///
/// # Errors
/// [`Error::Database`] from the statement; then no verdict was carried out.
pub fn settle(conn: &mut PgConnection, verdicts: &[Verdict]) -> Result<Vec<JobId>, Error> {
    settle_into(conn, verdicts, &mut Due::default())
}

/// The same, noting the queues in which something has become ready again.
pub(crate) fn settle_into(
    conn: &mut PgConnection,
    verdicts: &[Verdict],
    ready: &mut Due,
) -> Result<Vec<JobId>, Error> {
    let (done, others): (Vec<&Verdict>, Vec<&Verdict>) =
        verdicts.iter().partition(|verdict| verdict.ruling == Ruling::Done);
    match (done.is_empty(), others.is_empty()) {
        (true, true) => Ok(Vec::new()),
        (false, true) => settle_done(conn, &done),
        (true, false) => settle_others(conn, &others, ready),
        (false, false) => conn.transaction(|conn| {
            let mut settled = settle_done(conn, &done)?;
            settled.extend(settle_others(conn, &others, ready)?);
            Ok(settled)
        }),
    }
}

/// What most jobs come to, in a statement that does nothing else.
fn settle_done(conn: &mut PgConnection, verdicts: &[&Verdict]) -> Result<Vec<JobId>, Error> {
    let rows: Vec<Done> = diesel::sql_query(DONE)
        .bind::<Array<BigInt>, _>(verdicts.iter().map(|verdict| verdict.lease.job.0).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(verdicts.iter().map(|verdict| verdict.lease.claim).collect::<Vec<_>>())
        .load(conn)?;
    Ok(rows.into_iter().map(|row| JobId(row.id)).collect())
}

fn settle_others(
    conn: &mut PgConnection,
    verdicts: &[&Verdict],
    ready: &mut Due,
) -> Result<Vec<JobId>, Error> {
    let each = || verdicts.iter();
    let rows: Vec<Settled> = diesel::sql_query(OTHERS)
        .bind::<Array<BigInt>, _>(each().map(|verdict| verdict.lease.job.0).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(each().map(|verdict| verdict.lease.claim).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(each().map(|verdict| verdict.ruling.word()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(
            each().map(|verdict| verdict.ruling.message().map(storable)).collect::<Vec<_>>(),
        )
        .bind::<Array<Double>, _>(each().map(|verdict| seconds(verdict.ruling.wait())).collect::<Vec<_>>())
        .load(conn)?;
    ready.add(rows.iter().filter_map(|row| row.ready.as_deref()));
    Ok(rows.into_iter().map(|row| JobId(row.id)).collect())
}

/// Carries out a handler's answer for one job; see [`settle`].
///
/// # Errors
/// [`Error::LeaseLost`] if the job was no longer held; [`Error::Database`] from the statement.
pub fn finish(
    conn: &mut PgConnection,
    job: &ClaimedJob,
    answer: Result<Outcome, JobError>,
    backoff: &Backoff,
) -> Result<(), Error> {
    let ruling = Ruling::of(answer, job.attempt, job.max_attempts, backoff);
    let settled = settle(conn, &[Verdict { lease: job.lease.clone(), ruling }])?;
    if settled.is_empty() { Err(Error::LeaseLost) } else { Ok(()) }
}

/// The statement that finishes jobs that are done; `$1` ids, `$2` claims.
#[must_use]
pub fn statement() -> &'static str {
    DONE
}

/// The rows are found by id: in a subquery, the arrays tell the planner no length that would make it read the whole table.
const DONE: &str = "
    with removed as (
        delete from jobs using unnest((select $1), (select $2)) as given (id, claim)
        where jobs.id = given.id and jobs.claim = given.claim and jobs.claimed_by is not null
        returning jobs.id, queue, kind, arguments, priority, unique_key, attempt, max_attempts,
                  run_at, enqueued_at, claimed_by, claimed_at, last_error
    )
    insert into finished_jobs (id, queue, kind, arguments, priority, outcome, unique_key, attempt, max_attempts,
                               run_at, enqueued_at, claimed_by, claimed_at, finished_at, last_error)
    select id, queue, kind, arguments, priority, 'done', unique_key, attempt, max_attempts,
           run_at, enqueued_at, claimed_by, claimed_at, clock_timestamp(), last_error
    from removed
    returning id";

/// `held` is the fence: only rows still running under the very claim take part in anything below it.
const OTHERS: &str = "
    with verdict as materialized (
        select * from unnest((select $1), (select $2), (select $3), (select $4), (select $5))
            as given (id, claim, outcome, message, wait)
    ),
    held as materialized (
        select jobs.*, outcome, message, case when is_woken then 0 else wait end as wait,
               clock_timestamp() as finished_at,
               outcome in ('done', 'discarded', 'failed') as is_over,
               outcome in ('snoozed', 'handed back') as is_free
        from jobs join verdict using (id, claim)
        where claimed_by is not null
        for no key update of jobs
    ),
    attempted as (
        insert into job_attempts (job_id, claim, attempt, kind, worker, started_at, finished_at, outcome, error)
        select id, claim, attempt, kind, claimed_by, claimed_at, finished_at, outcome, message
        from held where not is_free
    ),
    finished as (
        insert into finished_jobs (id, queue, kind, arguments, priority, outcome, unique_key, attempt, max_attempts,
                                   run_at, enqueued_at, claimed_by, claimed_at, finished_at, last_error)
        select id, queue, kind, arguments, priority, outcome, unique_key, attempt, max_attempts,
               run_at, enqueued_at, claimed_by, claimed_at, finished_at, coalesce(message, last_error)
        from held where is_over
    ),
    removed as (
        delete from jobs using held where jobs.id = held.id and held.is_over
    ),
    kept as (
        update jobs
        set is_due = held.wait <= 0,
            run_at = case when held.outcome = 'handed back' then jobs.run_at
                          else held.finished_at + make_interval(secs => held.wait) end,
            put_off_at = held.finished_at,
            attempt = jobs.attempt - case when held.is_free then 1 else 0 end,
            last_error = coalesce(held.message, jobs.last_error),
            claimed_by = null, claimed_at = null, lease_expires_at = null, is_woken = false
        from held where jobs.id = held.id and not held.is_over
        returning jobs.id, case when jobs.is_due then jobs.queue end as ready
    )
    select held.id, kept.ready from held left join kept on kept.id = held.id";

#[derive(QueryableByName)]
struct Done {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Settled {
    #[diesel(sql_type = BigInt)]
    id: i64,
    /// Its queue, if it can be claimed again at once.
    #[diesel(sql_type = Nullable<Text>)]
    ready: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_a_ruling_by_the_attempts_left() {
        let backoff = Backoff { first: Duration::ZERO, cap: Duration::ZERO, factor: 2 };
        let rule = |answer, attempt| Ruling::of(answer, attempt, 3, &backoff);
        assert_eq!(rule(Ok(Outcome::Done), 1), Ruling::Done);
        assert_eq!(rule(Ok(Outcome::Snooze(Duration::MAX)), 3), Ruling::Snoozed(Duration::MAX));
        assert_eq!(rule(Ok(Outcome::Discard("old".into())), 1), Ruling::Discarded("old".into()));
        assert_eq!(rule(Err(JobError::retry("no")), 1), Ruling::Retried("no".into(), Duration::ZERO));
        assert_eq!(rule(Err(JobError::retry("no")), 3), Ruling::Failed("no".into()));
        assert_eq!(rule(Err(JobError::give_up("no")), 1), Ruling::Failed("no".into()));
    }
}
