//! What becomes of a restore that did not end by itself: completed when the exchange is committed, undone when not. The
//! recorded [`State`] alone decides; what is found without such a record is left alone.

use std::time::Duration;

use super::leftovers::Survey;
use super::names;
use super::programs::Programs;
use super::quote::literal;
use super::state::State;
use super::{roles, room, stand_ins, swap};
use crate::drivers::DriverError;
use crate::session::{LimitedSession, Session};

/// Dropping large databases takes a while.
const LIMIT: Duration = Duration::from_secs(1800);
/// Longest pause between two questions which way an exchange went.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Which way a restore went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// There is no restore.
    Nothing,
    /// The exchange did not happen.
    Undone,
    /// The exchange is committed.
    Finished,
}

/// What [`recover`] found out, and whether everything is cleaned up now. A failed clean-up changes no direction.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) direction: Direction,
    pub(super) cleaned: Result<(), DriverError>,
}

/// Completes or undoes what an interrupted restore has left behind.
///
/// # Errors
/// When it is not known which way the restore went.
pub(super) fn recover(programs: &Programs, session: &Session) -> Result<Recovery, DriverError> {
    let _alone = programs.recovering.lock(session)?;
    let open = programs.open_database(session)?;
    // What a killed program asked for last may still be running on the server: a COMMIT, or the creation of the first database,
    // of which nothing can be seen before it is complete.
    let lost = format!("application_name = {} AND pid <> pg_backend_pid()", literal(names::APPLICATION));
    programs.sql(session, &open, swap::terminate(&lost))?;
    let survey = Survey::take(programs, session, &open)?;
    let Some(state) = survey.state()? else {
        programs.report_strangers(survey.strangers());
        return Ok(Recovery { direction: Direction::Nothing, cleaned: Ok(()) });
    };
    let (direction, opened) = match state.swapped {
        true => (Direction::Finished, Ok(())),
        false => (Direction::Undone, reopen(programs, session, &open, &state.closed)),
    };
    let cleaned = opened.and_then(|()| clean(programs, session, &survey, &state));
    Ok(Recovery { direction, cleaned })
}

/// Lets clients in again. A database that is gone or cannot be opened does not keep the others closed.
fn reopen(programs: &Programs, session: &Session, open: &str, closed: &[String]) -> Result<(), DriverError> {
    if closed.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = closed.iter().map(|name| literal(name)).collect();
    let still_closed = format!(
        "NOT datallowconn AND datconnlimit <> -2 AND datname = ANY (ARRAY[{}]::name[])",
        names.join(", ")
    );
    // The bodies are quoted as a whole: a database may be named like a closing quote.
    let each = literal(&format!(
        "DECLARE db text; BEGIN FOR db IN SELECT datname FROM pg_database WHERE {still_closed} LOOP\n\
         BEGIN EXECUTE format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS true', db);\n\
         EXCEPTION WHEN OTHERS THEN RAISE WARNING '%: %', db, SQLERRM; END; END LOOP; END"
    ));
    let all = literal(&format!(
        "BEGIN IF EXISTS (SELECT FROM pg_database WHERE {still_closed}) THEN\n\
         RAISE EXCEPTION 'not all databases could be opened again'; END IF; END"
    ));
    programs.restore_sql(session, open, format!("DO {each};\nDO {all};\n")).map(drop)
}

/// Drops our databases and roles; the record last, and only when nothing is left that it names.
fn clean(programs: &Programs, session: &Session, survey: &Survey, state: &State) -> Result<(), DriverError> {
    // Not the control database, now that others are open.
    let open = programs.open_database(session)?;
    let leftovers: Vec<_> = survey.ours(state).collect();
    room::make(programs, session, &open, &leftovers);
    let mut kept = None;
    for leftover in leftovers {
        if let Err(error) = leftover.drop(programs, session, &open) {
            kept.get_or_insert(error);
        }
    }
    let mut sql = stand_ins::drop_all(&state.stand_ins);
    sql.push_str(&roles::drop_others(&state.created_roles));
    sql.push_str(&roles::drop_others(&state.other_roles));
    // A role of a database that is still there cannot be dropped; why that is still there says more.
    let dropped = programs.restore_sql(session, &open, sql);
    if let Some(error) = kept {
        return Err(error);
    }
    dropped.and_then(|_| drop_control(programs, session, &open))
}

fn drop_control(programs: &Programs, session: &Session, open: &str) -> Result<(), DriverError> {
    let mut sql =
        swap::terminate(&format!("datname = {} AND pid <> pg_backend_pid()", literal(names::CONTROL)));
    sql.push_str(&format!("DROP DATABASE IF EXISTS {};\n", names::CONTROL));
    programs.restore_sql(session, open, sql).map(drop)
}

/// Finds out which way an exchange went, however long the server does not answer: until then nobody may claim either.
pub(super) fn settle(programs: &Programs) -> Direction {
    let mut pause = Duration::from_secs(1);
    loop {
        match recover(programs, &LimitedSession::new(LIMIT)) {
            Ok(recovery) => {
                if let Err(error) = recovery.cleaned {
                    tracing::warn!(%error, "the leftovers of a restore stay until the next try");
                }
                return recovery.direction;
            }
            Err(error) => tracing::warn!(%error, "whether a restore is complete cannot be found out yet"),
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Removes what a restore has left whose end is certain, in a session of its own.
pub(super) fn clean_or_log(programs: &Programs) {
    let recovered = recover(programs, &LimitedSession::new(LIMIT)).and_then(|recovery| recovery.cleaned);
    if let Err(error) = recovered {
        tracing::warn!(%error, "the leftovers of a restore stay until the next try");
    }
}
