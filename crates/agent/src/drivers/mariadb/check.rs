//! What is looked at in a scratch server: that it holds the databases, tables, programs and users of the backup, that every
//! row can be read with all its values, and what `CHECK TABLE` says of tables, indexes and views.

use std::collections::BTreeSet;

use backup_protocol::Check;

use super::catalogue::{Catalogue, Object, Schema};
use super::client::Client;
use super::load::Backup;
use super::names::{NEW_USERS, literal, table};
use crate::drivers::DriverError;
use crate::session::Session;

/// Most faults that are named.
const NAMED: usize = 10;

/// What a restore must bring.
pub(super) struct Expected {
    pub(super) backup: Backup,
    /// Users and roles, without those a restore leaves alone.
    pub(super) users: u64,
}

/// Users and roles that wait for the exchange.
pub(super) fn loaded_users(client: &Client, session: &Session) -> Result<u64, DriverError> {
    users_in(client, session, NEW_USERS)
}

/// All checks.
pub(super) fn check(
    client: &Client,
    session: &Session,
    expected: &Expected,
) -> Result<Vec<Check>, DriverError> {
    let now = Catalogue::read(client, session)?;
    // The one row of a sequence needs no check, and its engine has none.
    let tables = now.owned().filter(|object| object.is_table() && object.kind != "SEQUENCE");
    let tables: Vec<&Object> = tables.collect();
    let views = now.owned().filter(|object| object.is_view());
    let checked: Vec<&Object> = tables.iter().copied().chain(views).collect();
    Ok(vec![
        databases(&expected.backup.databases, &now.databases),
        objects("tables", &expected.backup.end.tables, &now),
        objects("programs", &expected.backup.end.programs, &now),
        users(expected.users, users_in(client, session, "mysql")?),
        rows(client, session, &tables)?,
        check_table(client, session, &checked)?,
    ])
}

fn databases(wanted: &[Schema], found: &[Schema]) -> Check {
    let missing = wanted.iter().filter(|schema| !found.contains(schema));
    let strange = found.iter().filter(|schema| !wanted.contains(schema));
    let differing: BTreeSet<&str> = missing.chain(strange).map(|schema| schema.name.as_str()).collect();
    match differing.is_empty() {
        true => Check::passed("databases", format!("{} with their collations", found.len())),
        false => Check::failed("databases", format!("not as in the backup: {}", some(differing))),
    }
}

fn objects(name: &str, wanted: &[Object], now: &Catalogue) -> Check {
    let key = |object: &Object| (object.database.clone(), object.name.clone(), object.kind.clone());
    let found: BTreeSet<_> = now.owned().map(key).collect();
    let missing = wanted.iter().filter(|object| !found.contains(&key(object)));
    let missing: Vec<String> =
        missing.map(|object| format!("{} {}.{}", object.kind, object.database, object.name)).collect();
    match missing.is_empty() {
        true => Check::passed(name, format!("{} of the backup are there", wanted.len())),
        false => Check::failed(name, format!("missing: {}", some(missing))),
    }
}

fn users(wanted: u64, found: u64) -> Check {
    match wanted == found {
        true => Check::passed("users", format!("{found} users and roles")),
        false => Check::failed("users", format!("{found} of {wanted} users and roles")),
    }
}

fn users_in(client: &Client, session: &Session, database: &str) -> Result<u64, DriverError> {
    let kept: Vec<String> = client.kept_users().map(literal).collect();
    let source = table(database, "global_priv");
    let sql = format!("SELECT COUNT(*) FROM {source} WHERE User NOT IN ({});", kept.join(", "));
    let unclear = |e| DriverError::data_service(format!("the number of users is unclear: {e}"));
    client.sql(session, sql)?.trim().parse().map_err(unclear)
}

/// Counts the rows; the checksum makes the server read each of their values.
fn rows(client: &Client, session: &Session, tables: &[&Object]) -> Result<Check, DriverError> {
    let sql: String = tables
        .iter()
        .map(|object| {
            let name = table(&object.database, &object.name);
            let history = if object.kind == "SYSTEM VERSIONED" { " FOR SYSTEM_TIME ALL" } else { "" };
            format!("SELECT CONCAT('rows=', COUNT(*)) FROM {name}{history};\nCHECKSUM TABLE {name} EXTENDED;\n")
        })
        .collect();
    let answer = match client.sql(session, sql) {
        Err(DriverError::Stopped) => return Err(DriverError::Stopped),
        Err(error) => return Ok(Check::failed("rows", error.to_string())),
        Ok(answer) => answer,
    };
    let mut sum = 0_u64;
    let (mut counted, mut summed) = (0_usize, 0_usize);
    for line in answer.lines() {
        // A name may have line breaks and tabs in it; what matters is behind it.
        if let Some(number) = line.strip_prefix("rows=").and_then(|text| text.parse().ok()) {
            sum = sum.saturating_add(number);
            counted = counted.saturating_add(1);
        } else if line.rsplit('\t').next().is_some_and(|checksum| checksum.parse::<u64>().is_ok()) {
            summed = summed.saturating_add(1);
        }
    }
    let all = tables.len();
    Ok(match counted == all && summed == all {
        true => Check::passed("rows", format!("{sum} rows of {all} tables were read")),
        false => {
            let detail = format!("of {all} tables, {counted} could be counted and {summed} read to their end");
            Check::failed("rows", detail)
        }
    })
}

fn check_table(client: &Client, session: &Session, objects: &[&Object]) -> Result<Check, DriverError> {
    const NAME: &str = "check_table";
    let statement =
        |object: &&Object| format!("CHECK TABLE {} EXTENDED;\n", table(&object.database, &object.name));
    let answer = client.sql(session, objects.iter().map(statement).collect())?;
    let verdicts = Verdicts::read(&answer);
    let judged = verdicts.fine.saturating_add(verdicts.unknown);
    Ok(match verdicts.faults.is_empty() && judged == objects.len() {
        true if verdicts.unknown > 0 => Check::passed(
            NAME,
            format!("{} tables and views are OK, {} cannot be checked", verdicts.fine, verdicts.unknown),
        ),
        true => Check::passed(NAME, format!("{} tables and views are OK", verdicts.fine)),
        false if verdicts.faults.is_empty() => {
            Check::failed(NAME, format!("only {judged} of {} tables and views were checked", objects.len()))
        }
        false => Check::failed(NAME, some(verdicts.faults)),
    })
}

/// What `CHECK TABLE` has answered: lines of name, `check`, kind and text, the last of each table its status.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdicts {
    fine: usize,
    /// The engine has no means to check.
    unknown: usize,
    faults: Vec<String>,
}

impl Verdicts {
    fn read(answer: &str) -> Self {
        let mut verdicts = Self::default();
        for line in answer.lines() {
            let mut words = line.rsplitn(4, '\t');
            let (Some(text), Some(kind), Some("check")) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            match (kind, text) {
                ("status", "OK" | "Table is already up to date") => {
                    verdicts.fine = verdicts.fine.saturating_add(1);
                }
                ("note", text) if text.contains("doesn't support check") => {
                    verdicts.unknown = verdicts.unknown.saturating_add(1);
                }
                ("status" | "error" | "Error", text) => {
                    verdicts.faults.push(format!("{}: {text}", words.next().unwrap_or_default()));
                }
                // Notes and warnings are followed by a status.
                _ => {}
            }
        }
        verdicts
    }
}

fn some<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<T> = names.into_iter().collect();
    let named: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len().checked_sub(NAMED) {
        Some(more) if more > 0 => format!("{} and {more} more", named.join(", ")),
        _ => named.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_check_table_are_told_apart() {
        let answer = "a.b\tcheck\tstatus\tOK\na.odd\n\tname\tcheck\tstatus\tOK\n\
            a.m\tcheck\tnote\tThe storage engine for the table doesn't support check\n\
            a.w\tcheck\twarning\t1 client is using or hasn't closed the table properly\na.w\tcheck\tstatus\tOK\n\
            a.c\tcheck\tWarning\tInnoDB: Index x is marked as corrupted\na.c\tcheck\terror\tCorrupt\n";
        let faults = vec!["a.c: Corrupt".to_owned()];
        assert_eq!(Verdicts::read(answer), Verdicts { fine: 3, unknown: 1, faults });
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..13).map(|number| number.to_string()).collect();
        assert_eq!(some(&names[..10]), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(some(&names), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more");
    }
}
