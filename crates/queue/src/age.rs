//! Lets jobs that have waited long go in front of others, so that a steady stream of urgent work starves nobody.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Double, SmallInt, Text};

use crate::Error;
use crate::sql::seconds;

/// Whose waiting counts, and what it is worth.
#[derive(Debug, Clone, Copy)]
pub struct Ageing<'a> {
    /// The queue.
    pub queue: &'a str,
    /// The priority of jobs that age.
    pub from: i16,
    /// The priority they get; a lower number, which goes first.
    pub to: i16,
    /// How long they have been due.
    pub after: Duration,
}

/// Gives up to `limit` ready jobs that have been due for long a better priority, longest due first; returns how many. Bounded,
/// so that a backlog gets a share of the workers and not all of them.
/// Proven by `what_waited_long_goes_before_what_is_urgent_a_bounded_number_at_a_time`.
///
/// # Errors
/// [`Error::Database`] from the statement.
pub fn age(conn: &mut PgConnection, ageing: Ageing<'_>, limit: usize) -> Result<usize, Error> {
    let statement = format!(
        "update jobs set priority = $3
         where id = any (array(
             select id from jobs
             where queue = $1 and is_due and claimed_by is null and priority = $2
               and run_at < clock_timestamp() - make_interval(secs => $4)
             order by run_at, id
             limit {limit}
             for no key update skip locked
         ))"
    );
    Ok(diesel::sql_query(statement)
        .bind::<Text, _>(ageing.queue)
        .bind::<SmallInt, _>(ageing.from)
        .bind::<SmallInt, _>(ageing.to)
        .bind::<Double, _>(seconds(ageing.after))
        .execute(conn)?)
}
