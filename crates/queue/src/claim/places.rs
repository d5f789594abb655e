//! Where the last look ended. Jobs that were taken leave dead entries at the front of the index, which can be cleared away
//! only when no transaction is left that is older than they are. While somebody keeps one open, every look from the start reads
//! past all of them. So a claimer that goes on where it was reads none of them, and looks from the start now and then: for what came in
//! before its place, such as a job put off and due again, or one of a priority not seen before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::PgConnection;

use super::{Claimer, Row, from_places, from_the_start};
use crate::{ClaimedJob, Error};

/// Looks from the start are at least so far apart, and at most a twentieth of the time goes into them …
const SHORTEST: Duration = Duration::from_millis(100);
const SHARE: u32 = 20;
/// … unless that would make somebody wait for longer than this.
const LONGEST: Duration = Duration::from_secs(1);
/// More lines than these are not remembered.
const MOST: usize = 64;

/// Jobs among which only time decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) queue: String,
    pub(super) priority: i16,
}

/// The last job taken from a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) run_at: DateTime<Utc>,
    pub(super) id: i64,
}

/// What a claimer remembers from one claim to the next.
#[derive(Debug, Default)]
pub struct Places {
    lines: HashMap<Line, Place>,
    /// When it last looked from the start, and how long that took.
    looked: Option<(Instant, Duration)>,
    /// The last claim got as many as it wanted.
    is_rich: bool,
}

/// What a claim with [`Places`] brought.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The jobs, in their order.
    pub jobs: Vec<ClaimedJob>,
    /// There was no more to be had.
    pub is_all: bool,
}

impl Places {
    /// Claims up to `limit` jobs like [`super::claim()`], but from where the last claim ended; only when nothing is there, or
    /// it is time for it ([`Places::due_in`]), from the start. Proven by `a_claim_goes_on_where_the_last_one_ended`,
    /// `what_comes_in_before_the_place_is_found_by_the_next_look_from_the_start` and
    /// `dead_rows_in_front_are_read_only_by_looks_from_the_start`.
    ///
    /// # Errors
    /// [`Error::Database`] from a statement.
    pub fn claim(
        &mut self,
        conn: &mut PgConnection,
        claimer: &Claimer<'_>,
        limit: usize,
    ) -> Result<Claimed, Error> {
        let is_due = self.due_in().is_zero();
        // With a long line behind the place there would never be room for what is in front of it.
        if !(is_due && self.is_rich) {
            let places: Vec<(Line, Place)> =
                self.lines.iter().map(|(line, place)| (line.clone(), *place)).collect();
            let rows = from_places(conn, claimer, limit, &places)?;
            // What was found goes to work before anything else is looked for.
            if !rows.is_empty() || !is_due {
                return Ok(self.remember(rows, limit));
            }
        }
        self.claim_from_the_start(conn, claimer, limit)
    }

    /// Claims like [`super::claim()`], and remembers where that ended.
    ///
    /// # Errors
    /// [`Error::Database`] from the statement.
    pub fn claim_from_the_start(
        &mut self,
        conn: &mut PgConnection,
        claimer: &Claimer<'_>,
        limit: usize,
    ) -> Result<Claimed, Error> {
        let started = Instant::now();
        let rows = from_the_start(conn, claimer, limit)?;
        self.looked = Some((Instant::now(), started.elapsed()));
        let is_all = rows.len() < limit;
        Ok(Claimed { is_all, ..self.remember(rows, limit) })
    }

    /// How long until it is time to look from the start again: at most a second.
    #[must_use]
    pub fn due_in(&self) -> Duration {
        self.looked.map_or(Duration::ZERO, |(at, took)| interval(took).saturating_sub(at.elapsed()))
    }

    /// Goes to the last of these in each line; also back, when somebody in front has been found.
    fn remember(&mut self, rows: Vec<Row>, limit: usize) -> Claimed {
        if self.lines.len() > MOST {
            self.lines.clear();
        }
        for row in &rows {
            let line = Line { queue: row.queue.clone(), priority: row.priority };
            self.lines.insert(line, Place { run_at: row.run_at, id: row.id });
        }
        self.is_rich = rows.len() == limit;
        Claimed { jobs: rows.into_iter().map(Row::into_job).collect(), is_all: false }
    }
}

/// How long after a look from the start the next one is.
fn interval(took: Duration) -> Duration {
    took.saturating_mul(SHARE).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_from_the_start_take_a_twentieth_of_the_time_but_nobody_waits_for_more_than_a_second() {
        let table = [(0, 100), (1, 100), (10, 200), (50, 1000), (400, 1000)];
        for (took, expected) in table {
            assert_eq!(interval(Duration::from_millis(took)), Duration::from_millis(expected), "{took} ms");
        }
    }
}
