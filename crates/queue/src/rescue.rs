//! Taking jobs back from workers that stopped reporting. The job's own row says when that is; no other table is asked.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};

use crate::bell::Due;
use crate::settle::{Ruling, Verdict, settle_into};
use crate::{Backoff, Error, JobError, JobId, Lease};

/// So many attempts of a job may end with its worker before the next one waits.
const AT_ONCE: i32 = 3;

/// Rescues up to `limit` jobs whose lease has expired: the run counts as a failed attempt, and the job is tried again
/// (at once, the first few times) or, with its attempts exhausted, has failed. Returns how many were rescued.
/// Proven by `an_expired_lease_is_rescued_and_costs_an_attempt` and `a_rescued_job_without_attempts_left_has_failed`.
///
/// # Errors
/// [`Error::Database`] from a statement.
pub fn rescue(conn: &mut PgConnection, backoff: &Backoff, limit: usize) -> Result<usize, Error> {
    rescue_into(conn, backoff, limit, &mut Due::default())
}

/// The same, noting the queues in which something has become ready.
pub(crate) fn rescue_into(
    conn: &mut PgConnection,
    backoff: &Backoff,
    limit: usize,
    ready: &mut Due,
) -> Result<usize, Error> {
    conn.transaction(|conn| {
        let expired: Vec<Expired> = diesel::sql_query(format!(
            "select id, claim, attempt, max_attempts, claimed_by from jobs
             where state = 'running' and lease_expires_at < clock_timestamp()
             order by id limit {limit}
             for no key update skip locked"
        ))
        .load(conn)?;
        let verdicts: Vec<Verdict> = expired.into_iter().map(|row| row.verdict(backoff)).collect();
        Ok(settle_into(conn, &verdicts, ready)?.len())
    })
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
