//! What would make the exchange fail and only somebody else can put right. Asked before anything is loaded, and again
//! right before connections are ended.

use super::names::{self, IS_OURS};
use super::programs::Programs;
use super::quote::literal;
use crate::drivers::DriverError;
use crate::session::Session;

/// Refuses a restore that cannot succeed; `loaded` are the OIDs of the databases the agent itself has made for it.
///
/// # Errors
/// All reasons there are, in words for the operator.
pub(super) fn check(
    programs: &Programs,
    session: &Session,
    open: &str,
    loaded: &[u32],
) -> Result<(), DriverError> {
    let loaded: Vec<String> = loaded.iter().map(u32::to_string).collect();
    let sql = format!(
        "SELECT format('the prepared transaction %L of the database %I must be committed or rolled back first', \
           gid, database) FROM pg_prepared_xacts\n\
         UNION ALL SELECT format('the database %I is invalid since its DROP DATABASE was interrupted; drop it first', \
           datname) FROM pg_database WHERE datconnlimit = -2 AND NOT ({IS_OURS})\n\
         UNION ALL SELECT format('the database %I has a name reserved for the agent, but is not one of its own; \
           rename or drop it first', datname) FROM pg_database WHERE {IS_OURS}\n\
           AND NOT (datname = {} AND pg_get_userbyid(datdba) = current_user)\n\
           AND oid::bigint <> ALL ('{{{}}}'::bigint[]);",
        literal(names::CONTROL),
        loaded.join(","),
    );
    let answer = programs.sql(session, open, sql)?;
    let reasons: Vec<&str> = answer.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(DriverError::data_service(reasons.join("; "))),
    }
}
