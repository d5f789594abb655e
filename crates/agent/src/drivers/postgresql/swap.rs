//! The exchange: connections are ended, then one transaction renames all databases and restores the roles. It runs to
//! its end once begun, whatever happens to the operation. When its outcome is not certain, the server is asked which way
//! it went, until it answers.

use std::fmt::Write;
use std::time::Duration;

use super::catalogue;
use super::leftovers::Survey;
use super::manifest::{Manifest, Server};
use super::names;
use super::programs::Programs;
use super::quote::identifier;
use super::recover::{self, Direction};
use super::state::State;
use super::{databases, preconditions, roles};
use crate::drivers::DriverError;
use crate::session::{LimitedSession, Session};

const LIMIT: Duration = Duration::from_secs(600);
const ATTEMPTS: u32 = 5;
/// A connection that was just being made may have slipped in; only then another attempt can help.
const BUSY: &str = "is being accessed by other users";

/// Puts the loaded databases in the place of those in use, or removes them.
pub(super) fn swap(programs: &Programs, manifest: &Manifest) -> Result<(), DriverError> {
    let Err(error) = attempt(programs, &LimitedSession::new(LIMIT), manifest) else {
        recover::clean_or_log(programs);
        return Ok(());
    };
    // An error says little: an answer may be lost although the transaction is committed.
    match (recover::settle(programs), error) {
        (Direction::Finished, _) => Ok(()),
        (_, DriverError::Stopped) => {
            let minutes = LIMIT.as_secs().checked_div(60).unwrap_or_default();
            Err(DriverError::data_service(format!("the exchange took longer than {minutes} minutes")))
        }
        (Direction::Undone | Direction::Nothing, error) => Err(error),
    }
}

fn attempt(programs: &Programs, session: &Session, manifest: &Manifest) -> Result<(), DriverError> {
    let target = catalogue::read(programs, session, names::CONTROL)?;
    let state = Survey::take(programs, session, names::CONTROL)?.state()?;
    let gone = || DriverError::data_service(format!("the record in {} is gone", names::CONTROL));
    let mut state = state.ok_or_else(gone)?;
    preconditions::check(programs, session, names::CONTROL, &state.databases)?;
    let open = target.databases.iter().filter(|d| d.allows_connections && !d.is_invalid());
    state.closed = open.map(|d| d.name.clone()).collect();
    programs.restore_sql(session, names::CONTROL, state.record())?;
    let close = close(&target);
    let transaction = transaction(programs, manifest, &target);
    let mut attempt = 1;
    loop {
        let outcome = programs
            .restore_sql(session, names::CONTROL, close.clone())
            .and_then(|_| programs.restore_sql(session, names::CONTROL, transaction.clone()));
        match outcome {
            Err(DriverError::DataService { message, .. }) if message.contains(BUSY) && attempt < ATTEMPTS => {
                std::thread::sleep(Duration::from_millis(500));
                attempt = attempt.saturating_add(1);
            }
            outcome => return outcome.map(drop),
        }
    }
}

/// Ends all connections and lets nobody in, superusers included.
fn close(target: &Server) -> String {
    let mut sql = String::new();
    for database in target.databases.iter().filter(|database| !database.is_invalid()) {
        let _ = writeln!(sql, "ALTER DATABASE {} WITH ALLOW_CONNECTIONS false;", identifier(&database.name));
    }
    let others =
        format!("datname IS NOT NULL AND datname <> '{}' AND pid <> pg_backend_pid()", names::CONTROL);
    sql.push_str(&terminate(&others));
    sql
}

/// Ends connections and waits until they are gone.
pub(super) fn terminate(condition: &str) -> String {
    format!(
        "DO $do$ DECLARE tries int := 0; BEGIN LOOP\n\
         PERFORM pg_stat_clear_snapshot();\n\
         PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE {condition};\n\
         PERFORM pg_stat_clear_snapshot();\n\
         EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE {condition});\n\
         tries := tries + 1;\n\
         IF tries > 300 THEN RAISE EXCEPTION 'connections do not end within 30 seconds'; END IF;\n\
         PERFORM pg_sleep(0.1);\nEND LOOP; END $do$;\n"
    )
}

fn transaction(programs: &Programs, manifest: &Manifest, target: &Server) -> String {
    let mut sql = "BEGIN;\n".to_owned();
    sql.push_str(&roles::restore(manifest, target, programs));
    for (number, database) in target.databases.iter().enumerate() {
        rename(&mut sql, &database.name, &names::old(number));
    }
    // The catalogue was read after the missing roles had been created.
    let known: Vec<String> = target.roles.iter().map(|role| role.name.clone()).collect();
    for database in &manifest.server.databases {
        rename(&mut sql, &names::fresh(database.number), &database.name);
        sql.push_str(&databases::properties(database, &manifest.server.settings, &known, programs));
    }
    let others = target.roles.iter().filter(|role| {
        let in_backup = manifest.server.roles.iter().any(|r| r.name == role.name);
        !in_backup && !role.is_bootstrap && !programs.keeps_role(&role.name)
    });
    let state = State {
        swapped: true,
        databases: target.databases.iter().map(|database| database.oid).collect(),
        other_roles: others.map(|role| role.name.clone()).collect(),
        ..State::default()
    };
    sql.push_str(&state.record());
    sql.push_str("COMMIT;\n");
    sql
}

fn rename(sql: &mut String, from: &str, to: &str) {
    let _ = writeln!(sql, "ALTER DATABASE {} RENAME TO {};", identifier(from), identifier(to));
}
