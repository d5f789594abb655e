//! One look that tells which upkeep there is to do, so that a queue at rest is asked one question at a time and not one for each.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::Error;

/// What is to be done.
#[derive(Debug, QueryableByName)]
pub(super) struct DueUpkeep {
    /// The time of a scheduled job has come.
    #[diesel(sql_type = Bool)]
    pub(super) promotion: bool,
    /// A lease has expired.
    #[diesel(sql_type = Bool)]
    pub(super) rescue: bool,
    /// A schedule is to fire.
    #[diesel(sql_type = Bool)]
    pub(super) schedules: bool,
}

/// Looks. Changes nothing.
pub(super) fn look(conn: &mut PgConnection) -> Result<DueUpkeep, Error> {
    let due = diesel::sql_query(
        "select exists (select from jobs where not is_due and run_at <= now()) as promotion,
                exists (select from job_claims where look_at < clock_timestamp()) as rescue,
                exists (select from schedules where next_run_at <= clock_timestamp()) as schedules",
    );
    Ok(due.get_result(conn)?)
}
