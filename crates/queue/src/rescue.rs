//! Taking jobs back from workers that stopped reporting. The job's own row says when that is; `job_claims` says where to look.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Text};

use crate::bell::Due;
use crate::settle::{Ruling, Verdict, settle_into};
use crate::sql::seconds;
use crate::{Backoff, Error, JobError, JobId, Lease};

/// So many attempts of a job may end with its worker before the next one waits.
const AT_ONCE: i32 = 3;

/// What a turn of [`rescue`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Claims that were looked after.
    pub claims: usize,
    /// Jobs that were rescued.
    pub jobs: usize,
}

/// Looks after up to `limit` claims whose time has come, and rescues those of their jobs whose lease has expired: the run
/// counts as a failed attempt, and the job is tried again (at once, the first few times) or, with its attempts exhausted, has
/// failed. Claims whose jobs have all left are forgotten. A lease that ends later than any of `lease` could was given by a
/// clock that was ahead, and is cut.
/// Proven by `an_expired_lease_is_rescued_and_costs_an_attempt`, `a_rescued_job_without_attempts_left_has_failed` and
/// `claims_are_looked_after_until_their_jobs_have_left`.
///
/// # Errors
/// [`Error::Database`] from a statement.
pub fn rescue(
    conn: &mut PgConnection,
    backoff: &Backoff,
    lease: Duration,
    limit: usize,
) -> Result<Rescued, Error> {
    rescue_into(conn, backoff, lease, limit, &mut Due::default())
}

/// The same, noting the queues in which something has become ready.
pub(crate) fn rescue_into(
    conn: &mut PgConnection,
    backoff: &Backoff,
    lease: Duration,
    limit: usize,
    ready: &mut Due,
) -> Result<Rescued, Error> {
    conn.transaction(|conn| {
        let claims: Vec<Claim> = diesel::sql_query(format!(
            "select ctid::text as place, job_ids from job_claims where look_at < (select clock_timestamp())
             order by look_at limit {limit}
             for update skip locked"
        ))
        .load(conn)?;
        if claims.is_empty() {
            return Ok(Rescued::default());
        }
        let jobs: Vec<i64> = claims.iter().flat_map(|claim| claim.job_ids.iter().copied()).collect();
        let expired: Vec<Expired> = diesel::sql_query(EXPIRED).bind::<Array<BigInt>, _>(jobs).load(conn)?;
        let verdicts: Vec<Verdict> = expired.into_iter().map(|row| row.verdict(backoff)).collect();
        let jobs = settle_into(conn, &verdicts, ready)?.len();
        let places: Vec<String> = claims.iter().map(|claim| claim.place.clone()).collect();
        diesel::sql_query(LOOK_AGAIN)
            .bind::<Array<Text>, _>(places)
            .bind::<Double, _>(seconds(lease))
            .execute(conn)?;
        Ok(Rescued { claims: claims.len(), jobs })
    })
}

const EXPIRED: &str = "
    select id, claim, attempt, max_attempts, claimed_by from jobs
    where id = any ((select $1)::bigint[]) and claimed_by is not null and lease_expires_at < clock_timestamp()
    order by id
    for no key update skip locked";

/// Keeps the claims of which some jobs still run, for when the first of these leases ends, and lets go of the others. A job that
/// somebody had locked above is looked at again soon.
const LOOK_AGAIN: &str = "
    with named as materialized (
        select ctid as place, unnest(job_ids) as job_id, clock_timestamp() + make_interval(secs => $2) as latest
        from job_claims where ctid = any ((select $1)::text[]::tid[])
    ),
    running as materialized (
        select named.place, array_agg(jobs.id) as job_ids, min(least(jobs.lease_expires_at, latest)) as look_at
        from named join jobs on jobs.id = job_id
        where jobs.claimed_by is not null
        group by named.place
    ),
    cut as (
        update jobs set lease_expires_at = latest from named
        where jobs.id = job_id and jobs.claimed_by is not null
          and jobs.lease_expires_at > latest + make_interval(secs => $2)
    ),
    kept as (
        update job_claims set job_ids = running.job_ids, look_at = running.look_at
        from running where job_claims.ctid = running.place
    )
    delete from job_claims
    where ctid = any ((select $1)::text[]::tid[]) and ctid not in (select place from running)";

#[derive(QueryableByName)]
struct Claim {
    /// Where its row is; it is locked, so it stays there.
    #[diesel(sql_type = Text)]
    place: String,
    #[diesel(sql_type = Array<BigInt>)]
    job_ids: Vec<i64>,
}

#[derive(QueryableByName)]
struct Expired {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Integer)]
    claim: i32,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Integer)]
    max_attempts: i32,
    #[diesel(sql_type = Text)]
    claimed_by: String,
}

impl Expired {
    /// What died was the worker, seldom of this job: the first time it goes on at once, so that the lease is all that a
    /// killed worker costs.
    fn verdict(self, backoff: &Backoff) -> Verdict {
        let at_once = Backoff { first: Duration::ZERO, cap: Duration::ZERO, ..*backoff };
        let backoff = if self.attempt <= AT_ONCE { &at_once } else { backoff };
        let error = JobError::retry(format!("lease expired: worker `{}` stopped reporting", self.claimed_by));
        Verdict {
            lease: Lease { job: JobId(self.id), claim: self.claim },
            ruling: Ruling::of(Err(error), self.attempt, self.max_attempts, backoff),
        }
    }
}
