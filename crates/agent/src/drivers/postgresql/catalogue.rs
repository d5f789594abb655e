//! Questions to the server that are answered by its catalogues.

use super::manifest::Server;
use super::names::{IS_OURS, IS_STAND_IN};
use super::programs::Programs;
use crate::drivers::DriverError;
use crate::session::Session;

const CATALOGUE: &str = include_str!("catalogue.sql");

/// Reads the server-wide catalogues.
pub(super) fn read(programs: &Programs, session: &Session, database: &str) -> Result<Server, DriverError> {
    let sql = CATALOGUE.replace("{IS_OURS}", IS_OURS).replace("{IS_STAND_IN}", IS_STAND_IN);
    let answer = programs.sql(session, database, sql)?;
    let unclear = |e| DriverError::data_service(format!("the server's catalogues are unclear: {e}"));
    let server: Server = serde_json::from_str(&answer).map_err(unclear)?;
    match server.is_superuser {
        true => Ok(server),
        false => {
            let user = &programs.settings().user;
            Err(DriverError::data_service(format!("the role {user} must be a superuser of the server")))
        }
    }
}

/// The size of all databases on disk.
pub(super) fn size(programs: &Programs, session: &Session) -> Result<u64, DriverError> {
    let sql = "SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database WHERE datname <> 'template0';";
    let open = programs.open_database(session)?;
    let answer = programs.sql(session, &open, sql.to_owned())?;
    let unclear = |e| DriverError::data_service(format!("the size of the databases is unclear: {e}"));
    answer.trim().parse().map_err(unclear)
}
