//! Jobs enqueued by the clock: [`Schedule`]s are declared by the program and fired, each due time once, by whichever
//! worker comes first. When is decided in `cron.rs`, firing is in `fire.rs`.

mod cron;
mod fire;

use diesel::prelude::*;
use diesel::sql_types::{Array, Double, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz};

use crate::sql::seconds;
use crate::{Error, NewJob};

pub use cron::{check, next_after};
pub(crate) use fire::database_now;
pub use fire::fire_due;

/// A job to be enqueued whenever a cron expression matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its name, by which a later declaration finds it again.
    pub name: String,
    /// Five fields: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// The IANA name of the time zone in which the fields are read, for example `Europe/Berlin` or `UTC`.
    pub time_zone: String,
    /// What is enqueued.
    pub job: NewJob,
}

/// Makes these the schedules there are: new ones are added, unlisted ones removed, and only one whose cron expression or
/// time zone changed gets a new next time, so that a restart neither skips nor repeats a run.
/// Proven by `declaring_schedules_again_keeps_their_next_time_unless_the_cron_changed`.
///
/// # Errors
/// [`Error::Schedule`] for an expression or time zone that cannot be read; [`Error::Database`] from a statement.
pub fn declare_schedules(conn: &mut PgConnection, schedules: &[Schedule]) -> Result<(), Error> {
    conn.transaction(|conn| {
        let now = database_now(conn)?;
        let mut sorted: Vec<&Schedule> = schedules.iter().collect();
        // Several workers start and declare at the same time; one order keeps them from deadlocking.
        sorted.sort_by_key(|schedule| &schedule.name);
        for schedule in &sorted {
            let next = next_after(&schedule.cron, &schedule.time_zone, now)
                .map_err(|reason| Error::Schedule { name: schedule.name.clone(), reason })?;
            upsert(conn, schedule, next)?;
        }
        let names: Vec<&String> = sorted.iter().map(|schedule| &schedule.name).collect();
        diesel::sql_query("delete from schedules where name <> all ($1)")
            .bind::<Array<Text>, _>(names)
            .execute(conn)?;
        Ok(())
    })
}

fn upsert(
    conn: &mut PgConnection,
    schedule: &Schedule,
    next_run_at: chrono::DateTime<chrono::Utc>,
) -> Result<(), Error> {
    diesel::sql_query(
        "insert into schedules (name, cron, time_zone, next_run_at, queue, kind, arguments, priority, delay,
                                unique_key, max_attempts)
         values ($1, $2, $3, $4, $5, $6, $7, $8, make_interval(secs => $9), $10, $11)
         on conflict (name) do update
         set next_run_at = case when (schedules.cron, schedules.time_zone) = (excluded.cron, excluded.time_zone)
                                then schedules.next_run_at else excluded.next_run_at end,
             cron = excluded.cron, time_zone = excluded.time_zone, queue = excluded.queue, kind = excluded.kind,
             arguments = excluded.arguments, priority = excluded.priority, delay = excluded.delay,
             unique_key = excluded.unique_key, max_attempts = excluded.max_attempts",
    )
    .bind::<Text, _>(&schedule.name)
    .bind::<Text, _>(&schedule.cron)
    .bind::<Text, _>(&schedule.time_zone)
    .bind::<Timestamptz, _>(next_run_at)
    .bind::<Text, _>(&schedule.job.queue)
    .bind::<Text, _>(&schedule.job.kind)
    .bind::<Jsonb, _>(&schedule.job.arguments)
    .bind::<SmallInt, _>(schedule.job.priority)
    .bind::<Double, _>(seconds(schedule.job.delay))
    .bind::<Nullable<Text>, _>(schedule.job.unique_key.as_ref())
    .bind::<Integer, _>(schedule.job.max_attempts)
    .execute(conn)?;
    Ok(())
}
