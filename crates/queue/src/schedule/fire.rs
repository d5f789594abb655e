//! Firing what is due. The schedule's row is locked, its job enqueued and its next time set in one transaction, so each
//! due time fires once however many workers look.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::OptionalExtension;
use diesel::prelude::*;
use diesel::sql_types::{Double, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz};

use super::cron::next_after;
use crate::{Error, NewJob, enqueue};

/// Fires every due schedule once and returns how many were fired. A run missed while nobody was up fires once, on return.
/// Proven by `four_workers_fire_a_due_schedule_exactly_once` and `runs_missed_while_everything_was_down_fire_once`.
///
/// # Errors
/// [`Error::Database`] from a statement.
pub fn fire_due(conn: &mut PgConnection) -> Result<usize, Error> {
    let mut fired = 0;
    while conn.transaction(fire_next)? {
        fired += 1;
    }
    Ok(fired)
}

/// The database's clock.
pub(crate) fn database_now(conn: &mut PgConnection) -> Result<DateTime<Utc>, Error> {
    #[derive(QueryableByName)]
    struct Clock {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    Ok(diesel::sql_query("select clock_timestamp() as now").get_result::<Clock>(conn)?.now)
}

/// Fires one due schedule, if there is one that nobody else is firing.
fn fire_next(conn: &mut PgConnection) -> Result<bool, Error> {
    let due: Option<Due> = diesel::sql_query(
        "select name, cron, time_zone, queue, kind, arguments, priority, extract(epoch from delay)::float8 as delay,
                unique_key, max_attempts, clock_timestamp() as now
         from schedules where next_run_at <= clock_timestamp()
         order by next_run_at limit 1
         for update skip locked",
    )
    .get_result(conn)
    .optional()?;
    let Some(due) = due else { return Ok(false) };

    let next = next_after(&due.cron, &due.time_zone, due.now).unwrap_or_else(|reason| {
        // It could be read when it was declared, so this is a bug; the run happens, and others are not held up.
        tracing::error!(schedule = due.name, reason, "a schedule has no next time; trying again in an hour");
        due.now + chrono::TimeDelta::hours(1)
    });
    diesel::sql_query("update schedules set next_run_at = $2, last_run_at = $3 where name = $1")
        .bind::<Text, _>(&due.name)
        .bind::<Timestamptz, _>(next)
        .bind::<Timestamptz, _>(due.now)
        .execute(conn)?;
    let name = due.name.clone();
    let job = enqueue(conn, &due.into_job())?;
    tracing::info!(schedule = name, job.id = job.id().0, next_run_at = %next, "fired a schedule");
    Ok(true)
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    cron: String,
    #[diesel(sql_type = Text)]
    time_zone: String,
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Jsonb)]
    arguments: serde_json::Value,
    #[diesel(sql_type = SmallInt)]
    priority: i16,
    #[diesel(sql_type = Double)]
    delay: f64,
    #[diesel(sql_type = Nullable<Text>)]
    unique_key: Option<String>,
    #[diesel(sql_type = Integer)]
    max_attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

impl Due {
    fn into_job(self) -> NewJob {
        NewJob {
            queue: self.queue,
            kind: self.kind,
            arguments: self.arguments,
            priority: self.priority,
            delay: Duration::try_from_secs_f64(self.delay).unwrap_or_default(),
            unique_key: self.unique_key,
            max_attempts: self.max_attempts,
        }
    }
}
