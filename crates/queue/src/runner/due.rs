//! One look that tells which upkeep there is to do, so that a queue at rest is asked one question at a time and not one for each.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Nullable};

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
    /// Seconds until the time of the next scheduled job; less than none if it has come.
    #[diesel(sql_type = Nullable<Double>)]
    pub(super) next: Option<f64>,
}

/// Looks. Changes nothing.
pub(super) fn look(conn: &mut PgConnection) -> Result<DueUpkeep, Error> {
    let due = diesel::sql_query(
        "select exists (select from jobs where not is_due and run_at <= now()) as promotion,
                exists (select from job_claims where look_at < (select clock_timestamp())) as rescue,
                exists (select from schedules where next_run_at <= clock_timestamp()) as schedules,
                (select extract(epoch from min(run_at) - clock_timestamp())::float8 from jobs where not is_due) as next",
    );
    Ok(due.get_result(conn)?)
}
