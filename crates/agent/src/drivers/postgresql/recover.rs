//! What becomes of a restore that did not end by itself. Its state is the comment of the control database, written in the
//! same transaction as the exchange, so that the server itself knows whether the exchange happened.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::{self, IS_OURS};
use super::programs::Programs;
use super::quote::{identifier, literal};
use super::{roles, swap};
use crate::drivers::DriverError;
use crate::session::{LimitedSession, Session};

/// Dropping large databases takes a while.
const LIMIT: Duration = Duration::from_secs(1800);

/// How far a restore is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The exchange is committed.
    pub(super) swapped: bool,
    /// Before the exchange: roles that did not exist before the restore.
    pub(super) created_roles: Vec<String>,
    /// Before the exchange: databases that are closed for it and were open.
    pub(super) closed: Vec<String>,
    /// After the exchange: roles the backup does not have.
    pub(super) other_roles: Vec<String>,
}

impl State {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The recorded state, when there is a control database. A control database without a comment is just made.
pub(super) fn state(programs: &Programs, session: &Session) -> Result<Option<State>, DriverError> {
    let open = programs.open_database(session)?;
    state_from(programs, session, &open)
}

fn state_from(programs: &Programs, session: &Session, open: &str) -> Result<Option<State>, DriverError> {
    let sql = format!(
        "SELECT coalesce(shobj_description(oid, 'pg_database'), '{{}}') FROM pg_database WHERE datname = '{}';",
        names::CONTROL
    );
    let answer = programs.sql(session, open, sql)?;
    let text = answer.trim();
    match text.is_empty() {
        true => Ok(None),
        false => serde_json::from_str(text).map(Some).map_err(|e| {
            DriverError::DataService(format!("the comment of {} is unclear: {e}", names::CONTROL))
        }),
    }
}

/// Completes or undoes what an interrupted restore has left behind.
pub(super) fn recover(programs: &Programs, session: &Session) -> Result<(), DriverError> {
    let open = programs.open_database(session)?;
    let any = programs.sql(session, &open, format!("SELECT count(*) FROM pg_database WHERE {IS_OURS};"))?;
    if any.trim() == "0" {
        return Ok(());
    }
    // What a killed program asked for last may still be running on the server.
    let lost = format!("application_name = {} AND pid <> pg_backend_pid()", literal(names::APPLICATION));
    programs.sql(session, &open, swap::terminate(&lost))?;
    match state_from(programs, session, &open)? {
        Some(state) if state.swapped => finish(programs, session, &state),
        state => undo(programs, session, &state.unwrap_or_default()),
    }
}

/// After the exchange: drops what was replaced.
fn finish(programs: &Programs, session: &Session, state: &State) -> Result<(), DriverError> {
    let open = programs.open_database(session)?;
    let mut sql = drop_databases(programs, session, &open)?;
    sql.push_str(&roles::drop_others(&state.other_roles));
    sql.push_str(&drop_control());
    programs.sql(session, &open, sql).map(drop)
}

/// Before the exchange: lets clients in again and removes what was loaded.
fn undo(programs: &Programs, session: &Session, state: &State) -> Result<(), DriverError> {
    let open = programs.open_database(session)?;
    let mut sql = String::new();
    for database in &state.closed {
        let _ = writeln!(sql, "ALTER DATABASE {} WITH ALLOW_CONNECTIONS true;", identifier(database));
    }
    programs.sql(session, &open, sql)?;
    // Now another database than the control database is open.
    let open = programs.open_database(session)?;
    let mut sql = drop_databases(programs, session, &open)?;
    for role in &state.created_roles {
        let _ = writeln!(sql, "DROP ROLE IF EXISTS {};", identifier(role));
    }
    sql.push_str(&drop_control());
    programs.sql(session, &open, sql).map(drop)
}

/// SQL that drops all our databases but the control database. Logical replication slots would be in the way.
fn drop_databases(programs: &Programs, session: &Session, open: &str) -> Result<String, DriverError> {
    let list =
        format!("SELECT datname FROM pg_database WHERE {IS_OURS} AND datname <> '{}';", names::CONTROL);
    let answer = programs.sql(session, open, list)?;
    let mut sql = String::new();
    for name in answer.lines().map(str::trim).filter(|name| !name.is_empty()) {
        let text = literal(name);
        let _ = writeln!(
            sql,
            "ALTER DATABASE {} WITH IS_TEMPLATE false ALLOW_CONNECTIONS false;",
            identifier(name)
        );
        sql.push_str(&swap::terminate(&format!("datname = {text}")));
        let _ = writeln!(
            sql,
            "DO $do$ BEGIN PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
             WHERE database = {text}; END $do$;\nDROP DATABASE {};",
            identifier(name)
        );
    }
    Ok(sql)
}

fn drop_control() -> String {
    format!("DROP DATABASE IF EXISTS {};\n", identifier(names::CONTROL))
}

/// Undoes on the way out of a failed restore, which needs a session of its own.
pub(super) fn undo_or_log(programs: &Programs) {
    recover_or_log(programs, "the leftovers of a failed restore stay until the next try");
}

/// Completes after an exchange; the restore itself has succeeded.
pub(super) fn finish_or_log(programs: &Programs) {
    recover_or_log(programs, "the replaced databases stay until the next try");
}

fn recover_or_log(programs: &Programs, text: &str) {
    if let Err(error) = recover(programs, &LimitedSession::new(LIMIT)) {
        tracing::warn!(%error, "{text}");
    }
}
