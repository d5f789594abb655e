//! The timed right to a job, and the fence that keeps a worker that lost it from writing.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};

use crate::{Error, JobId};

/// One claim of one job. Every later claim of the same job has a higher number, so an old lease never fits again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job held.
    pub job: JobId,
    /// The number of the claim.
    pub claim: i32,
}

impl Lease {
    /// Confirms, inside the caller's transaction, that the job is still held, and locks its row so that it stays held
    /// until the transaction ends. Proven by `a_lost_lease_confirms_with_an_error`.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the job was rescued, handed back or finished since.
    pub fn confirm(&self, conn: &mut PgConnection) -> Result<(), Error> {
        self.hold(conn, "for no key update")
    }

    /// The same for several transactions of the job at a time. Proven by `several_transactions_may_hold_on_to_one_lease`.
    ///
    /// # Errors
    /// As [`Lease::confirm`].
    pub fn confirm_shared(&self, conn: &mut PgConnection) -> Result<(), Error> {
        self.hold(conn, "for share")
    }

    fn hold(&self, conn: &mut PgConnection, lock: &str) -> Result<(), Error> {
        let held = diesel::sql_query(format!(
            "select from jobs where id = $1 and claim = $2 and state = 'running' {lock}"
        ))
        .bind::<BigInt, _>(self.job.0)
        .bind::<Integer, _>(self.claim)
        .execute(conn)?;
        if held == 1 { Ok(()) } else { Err(Error::LeaseLost) }
    }
}
