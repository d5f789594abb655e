//! Moving scheduled jobs whose time has come to `ready`, so that the claim never has to read past future ones.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::Error;
use crate::sql::CHANNEL;

/// Makes up to `limit` due scheduled jobs ready, longest due first, wakes idle runners, and returns how many they were.
/// Proven by `scheduled_jobs_become_ready_in_bounded_batches`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn promote(conn: &mut PgConnection, limit: usize) -> Result<usize, Error> {
    let promoted = diesel::sql_query(format!(
        "with due as materialized (
             select id from jobs where state = 'scheduled' and run_at <= now()
             order by run_at limit {limit}
             for no key update skip locked
         ),
         promoted as (
             update jobs set state = 'ready' from due where jobs.id = due.id returning jobs.id
         ),
         wake as materialized (
             select pg_notify($1, '') from (select from promoted limit 1) as one
         )
         select id, (select count(*) from wake) as woken from promoted"
    ))
    .bind::<Text, _>(CHANNEL)
    .load::<Promoted>(conn)?;
    Ok(promoted.len())
}

#[derive(QueryableByName)]
struct Promoted {
    #[diesel(sql_type = BigInt)]
    #[expect(dead_code, reason = "only the number of rows is of interest")]
    id: i64,
}
