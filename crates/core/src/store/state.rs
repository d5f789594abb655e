//! Whether the database can be written to.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::Result;

/// What the database says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes reads and writes.
    Writable,
    /// It is a standby, or is being recovered.
    InRecovery,
    /// It was set to take reads only.
    ReadOnly,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    is_in_recovery: bool,
    #[diesel(sql_type = Bool)]
    is_read_only: bool,
}

/// Asks for it.
pub fn look(conn: &mut PgConnection) -> Result<State> {
    let row: Row = diesel::sql_query(
        "SELECT pg_is_in_recovery() AS is_in_recovery, current_setting('transaction_read_only')::bool AS is_read_only",
    )
    .get_result(conn)?;
    Ok(match row {
        Row { is_in_recovery: true, .. } => State::InRecovery,
        Row { is_read_only: true, .. } => State::ReadOnly,
        Row { .. } => State::Writable,
    })
}
