//! What is looked at in a scratch server: that it holds the databases and roles of the backup, that every row can be read,
//! that no index is invalid, and what `pg_amcheck` says of tables and indexes.

use std::collections::BTreeSet;
use std::io::Read;

use backup_protocol::Check;

use super::table_reads::{READ_ALL, Reads};
use crate::drivers::DriverError;
use crate::drivers::postgresql::catalogue;
use crate::drivers::postgresql::manifest::Server;
use crate::drivers::postgresql::programs::Programs;
use crate::session::Session;

/// The parents of partitions may have an index that is not complete by the owner's will.
const INVALID_INDEXES: &str = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE NOT indisvalid AND relkind = 'i';";
/// Most of what pg_amcheck prints that is kept.
const LONGEST_REPORT: u64 = 2000;

/// All checks. `backup` is what the server was when the backup was made.
pub(super) fn check(
    programs: &Programs,
    session: &Session,
    backup: &Server,
) -> Result<Vec<Check>, DriverError> {
    let entrance = programs.open_database(session)?;
    let now = catalogue::read(programs, session, &entrance)?;
    let open = now.databases.iter().filter(|database| database.allows_connections);
    let open: Vec<&str> = open.map(|database| database.name.as_str()).collect();
    Ok(vec![
        databases(backup, &now),
        roles(backup, &now, &programs.settings().user),
        tables(programs, session, &open)?,
        indexes(programs, session, &open)?,
        amcheck(programs, session, &entrance)?,
    ])
}

fn databases(backup: &Server, now: &Server) -> Check {
    let names = |server: &Server| -> BTreeSet<(String, String, String)> {
        let key = |d: &super::super::manifest::Database| (d.name.clone(), d.owner.clone(), d.encoding.clone());
        server.databases.iter().filter(|database| !database.is_invalid()).map(key).collect()
    };
    let (wanted, found) = (names(backup), names(now));
    let differing: Vec<&str> = wanted.symmetric_difference(&found).map(|(name, ..)| name.as_str()).collect();
    match differing.is_empty() {
        true => Check::passed("databases", format!("{} with their owners and encodings", found.len())),
        false => Check::failed("databases", format!("not as in the backup: {}", differing.join(", "))),
    }
}

/// The agent's own role was there before.
fn roles(backup: &Server, now: &Server, own: &str) -> Check {
    let found: BTreeSet<&str> = now.roles.iter().map(|role| role.name.as_str()).collect();
    let wanted = backup.roles.iter().map(|role| role.name.as_str()).filter(|name| *name != own);
    let wanted = wanted.filter(|name| !name.starts_with("pg_"));
    let wanted: Vec<&str> = wanted.collect();
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !found.contains(name)).collect();
    match missing.is_empty() {
        true => Check::passed("roles", format!("{} beside the agent's", wanted.len())),
        false => Check::failed("roles", format!("missing: {}", missing.join(", "))),
    }
}

fn tables(programs: &Programs, session: &Session, databases: &[&str]) -> Result<Check, DriverError> {
    let mut all = Reads::default();
    let mut faults = Vec::new();
    for database in databases {
        let unclear = |e| DriverError::data_service(format!("the counts are unclear: {e}"));
        let read = programs.sql(session, database, READ_ALL.to_owned());
        match read.and_then(|answer| answer.parse::<Reads>().map_err(unclear)) {
            Ok(reads) => all.add(reads),
            Err(DriverError::Stopped) => return Err(DriverError::Stopped),
            Err(error) => faults.push(error.within(&format!("database {database}")).to_string()),
        }
    }
    Ok(match faults.is_empty() {
        true => Check::passed(
            "tables",
            format!("{} rows of {} tables in {} databases were read", all.rows, all.tables, databases.len()),
        ),
        false => Check::failed("tables", faults.join("; ")),
    })
}

fn indexes(programs: &Programs, session: &Session, databases: &[&str]) -> Result<Check, DriverError> {
    let mut faults = Vec::new();
    for database in databases {
        let answer = programs.sql(session, database, INVALID_INDEXES.to_owned())?;
        if answer.trim() != "0" {
            faults.push(format!("database {database} has {} invalid indexes", answer.trim()));
        }
    }
    Ok(match faults.is_empty() {
        true => Check::passed("indexes", "none is invalid"),
        false => Check::failed("indexes", faults.join("; ")),
    })
}

fn amcheck(programs: &Programs, session: &Session, entrance: &str) -> Result<Check, DriverError> {
    const NAME: &str = "pg_amcheck";
    if !programs.path(NAME).is_file() {
        return Ok(Check::skipped(NAME, "the program is not installed; it comes with version 14"));
    }
    let program = programs.program(NAME, entrance)?.arg("--maintenance-db").arg(entrance);
    let program = program.arg("--all").arg("--heapallindexed").arg("--install-missing");
    let mut running = program.piped_stdout().start(session)?;
    let mut report = Vec::new();
    let read = running.stdout().map_or(Ok(0), |mut pipe| {
        (&mut pipe).take(LONGEST_REPORT).read_to_end(&mut report)?;
        std::io::copy(&mut pipe, &mut std::io::sink())
    });
    let finished = running.finish();
    read.map_err(|e| DriverError::data_service(format!("the report of {NAME} is unreadable: {e}")))?;
    let report = String::from_utf8_lossy(&report).trim().to_owned();
    Ok(match (finished, report.is_empty()) {
        (Ok(()), true) => Check::passed(NAME, "no table and no index is damaged"),
        (Err(DriverError::Stopped), _) => return Err(DriverError::Stopped),
        (Err(error), true) if error.to_string().contains("extension control file") => {
            Check::skipped(NAME, "the extension amcheck is not installed")
        }
        (Err(error), true) => Check::failed(NAME, error.to_string()),
        (_, false) => Check::failed(NAME, report),
    })
}
