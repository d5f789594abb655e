//! After the database's clock was ahead for a while and has gone back: what was written meanwhile would wait until the clock
//! has caught up, for hours or days. It is told by its own times, which are in the future.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Text, Timestamptz};

use crate::Error;
use crate::schedule::{database_now, next_after};
use crate::sql::seconds;

/// Makes due what was put off while the clock was ahead, has the claims of then looked after, which cuts their leases
/// ([`crate::rescue`]), and gives the schedules that fired then the next time from now. Registrations of workers of then
/// end after `lease`: a worker that is alive renews its own. Returns how many jobs, claims and schedules that were.
///
/// A job that runs too early does no harm: it acts on what the database says now. A holder that is alive renews its lease
/// as always. A schedule may fire once more for a time for which it fired while the clock was ahead.
/// Proven by `what_was_put_off_by_a_clock_that_was_ahead_is_due_when_it_is_right_again` and its neighbours.
///
/// # Errors
/// [`Error::Database`] from a statement.
pub fn recover(conn: &mut PgConnection, lease: Duration) -> Result<usize, Error> {
    conn.transaction(|conn| {
        let jobs = diesel::sql_query(
            "with late as materialized (
                 select id from jobs where not is_due and put_off_at > (select clock_timestamp())
                 for no key update skip locked
             )
             update jobs set is_due = true, run_at = clock_timestamp() from late where jobs.id = late.id",
        )
        .execute(conn)?;
        // Those leases are cut when their claims are looked after, which is now.
        let claims = diesel::sql_query(
            "update job_claims set look_at = clock_timestamp()
             where look_at > (select clock_timestamp() + 2 * make_interval(secs => $1))",
        )
        .bind::<Double, _>(seconds(lease))
        .execute(conn)?;
        diesel::sql_query(
            "with far as materialized (
                 select name from job_workers where live_until > clock_timestamp() + 2 * make_interval(secs => $1)
                 for no key update skip locked
             )
             update job_workers set live_until = clock_timestamp() + make_interval(secs => $1)
             from far where job_workers.name = far.name",
        )
        .bind::<Double, _>(seconds(lease))
        .execute(conn)?;
        Ok(jobs + claims + reschedule(conn)?)
    })
}

fn reschedule(conn: &mut PgConnection) -> Result<usize, Error> {
    let now = database_now(conn)?;
    let fired: Vec<Fired> = diesel::sql_query(
        "select name, cron, time_zone from schedules where last_run_at > clock_timestamp() for update skip locked",
    )
    .load(conn)?;
    let mut moved = 0;
    for schedule in fired {
        let Ok(next) = next_after(&schedule.cron, &schedule.time_zone, now) else { continue };
        moved += diesel::sql_query(
            "update schedules set next_run_at = $2, last_run_at = clock_timestamp() where name = $1 and next_run_at > $2",
        )
        .bind::<Text, _>(&schedule.name)
        .bind::<Timestamptz, _>(next)
        .execute(conn)?;
    }
    Ok(moved)
}

#[derive(QueryableByName)]
struct Fired {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    cron: String,
    #[diesel(sql_type = Text)]
    time_zone: String,
}

/// The database's clock in microseconds; compared with the machine's monotonic clock it tells that it was set.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub(crate) fn database_micros(conn: &mut PgConnection) -> Result<i64, Error> {
    #[derive(QueryableByName)]
    struct Clock {
        #[diesel(sql_type = BigInt)]
        micros: i64,
    }
    let clock =
        diesel::sql_query("select (extract(epoch from clock_timestamp()) * 1000000)::bigint as micros");
    Ok(clock.get_result::<Clock>(conn)?.micros)
}
