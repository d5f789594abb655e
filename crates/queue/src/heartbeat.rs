//! Telling the database that a worker is alive: its registration, and the leases on the jobs it runs.

use std::collections::HashSet;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Text};

use crate::sql::seconds;
use crate::{Error, Lease};

/// Extends all given leases with one statement and returns those that are lost.
/// Proven by `a_heartbeat_extends_leases_and_tells_which_are_lost`.
///
/// A job whose row is locked at this moment, for example by [`Lease::confirm`] in a long transaction, is left
/// for the next heartbeat instead of holding up the others; its lock keeps it from being rescued meanwhile.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn extend(conn: &mut PgConnection, leases: &[Lease], lease: Duration) -> Result<Vec<Lease>, Error> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Held> = diesel::sql_query(EXTEND)
        .bind::<Array<BigInt>, _>(leases.iter().map(|lease| lease.job.0).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(leases.iter().map(|lease| lease.claim).collect::<Vec<_>>())
        .bind::<Double, _>(seconds(lease))
        .load(conn)?;
    let held: HashSet<i64> = rows.into_iter().map(|row| row.id).collect();
    Ok(leases.iter().filter(|lease| !held.contains(&lease.job.0)).cloned().collect())
}

const EXTEND: &str = "
    with mine as materialized (
        select * from unnest($1, $2) as given (id, claim)
    ),
    free as materialized (
        select jobs.id from jobs join mine using (id, claim) where state = 'running'
        for no key update of jobs skip locked
    ),
    extended as (
        update jobs set lease_expires_at = clock_timestamp() + make_interval(secs => $3)
        from free where jobs.id = free.id
    )
    select jobs.id from jobs join mine using (id, claim) where state = 'running'";

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Registers a worker, or renews its registration for as long as `live`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn register(
    conn: &mut PgConnection,
    name: &str,
    queues: &[String],
    concurrency: usize,
    live: Duration,
) -> Result<(), Error> {
    diesel::sql_query(
        "insert into job_workers (name, queues, concurrency, live_until)
         values ($1, $2, $3, now() + make_interval(secs => $4))
         on conflict (name) do update
         set queues = excluded.queues, concurrency = excluded.concurrency, live_until = excluded.live_until",
    )
    .bind::<Text, _>(name)
    .bind::<Array<Text>, _>(queues)
    .bind::<Integer, _>(i32::try_from(concurrency).unwrap_or(i32::MAX))
    .bind::<Double, _>(seconds(live))
    .execute(conn)?;
    Ok(())
}

/// Takes a worker's registration back, at its shutdown.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn deregister(conn: &mut PgConnection, name: &str) -> Result<(), Error> {
    diesel::sql_query("delete from job_workers where name = $1").bind::<Text, _>(name).execute(conn)?;
    Ok(())
}
