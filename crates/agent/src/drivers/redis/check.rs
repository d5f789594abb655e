//! What is looked at in a scratch server: that it has the keys and functions the snapshot was found to hold when it was
//! loaded, and that every value can be walked through to its last element.

use std::collections::BTreeMap;

use backup_protocol::Check;

use super::connection::Connection;
use super::info::{Info, Keys};
use crate::drivers::{DriverError, Trouble};
use crate::session::Session;

const READ: &str = include_str!("read.lua");

/// What is in a server, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    keyspace: BTreeMap<u32, Keys>,
    /// Keys that were in the snapshot and whose time had come; newer servers count them.
    expired: u64,
    /// Libraries of functions; none before Redis 7.
    libraries: Option<u64>,
}

impl Contents {
    pub(super) fn of(info: &Info) -> Self {
        Self {
            keyspace: info.keyspace(),
            expired: info.number("rdb_last_load_keys_expired").unwrap_or(0),
            libraries: info.number("number_of_libraries"),
        }
    }
}

/// All checks. `loaded` is what the temporary server had.
pub(super) fn check(
    live: &mut Connection,
    session: &Session,
    loaded: &Contents,
) -> Result<Vec<Check>, DriverError> {
    let now = Contents::of(&Info::read(live)?);
    let mut checks = vec![keys(loaded, &now), values(live, session, &now)?];
    if let (Some(wanted), Some(found)) = (loaded.libraries, now.libraries) {
        checks.push(match wanted == found {
            true => Check::passed("functions", format!("{found} libraries, as loaded")),
            false => Check::failed("functions", format!("{found} libraries of {wanted}")),
        });
    }
    Ok(checks)
}

/// Keys with a time to live may go at any moment; the others are all there or something is wrong.
fn keys(loaded: &Contents, now: &Contents) -> Check {
    let lasting = |contents: &Contents| -> BTreeMap<u32, u64> {
        let all = contents.keyspace.iter().map(|(database, keys)| (*database, keys.lasting()));
        all.filter(|(_, number)| *number > 0).collect()
    };
    let (wanted, found) = (lasting(loaded), lasting(now));
    if wanted != found {
        return Check::failed("keys", format!("by database, {found:?} are there and {wanted:?} were loaded"));
    }
    let sum = |of: fn(&Keys) -> u64| loaded.keyspace.values().map(of).fold(0, u64::saturating_add);
    let (all, expiring) = (sum(|keys| keys.all), sum(|keys| keys.expiring));
    let databases = loaded.keyspace.len();
    let mut detail =
        format!("{all} keys in {databases} databases, {expiring} of them with a time to live, as loaded");
    if loaded.expired > 0 {
        detail.push_str(&format!("; the time of {} others had come", loaded.expired));
    }
    Check::passed("keys", detail)
}

fn values(live: &mut Connection, session: &Session, now: &Contents) -> Result<Check, DriverError> {
    let mut types: BTreeMap<String, u64> = BTreeMap::new();
    let mut read = 0_u64;
    for (database, keys) in &now.keyspace {
        live.command(&["SELECT", &database.to_string()])?;
        let mut cursor = "0".to_owned();
        let mut of_database = 0_u64;
        loop {
            session.check()?;
            let answer = match live.command(&["EVAL", READ, "0", &cursor]) {
                // The server stays and has something to say about a value.
                Err(DriverError::DataService { trouble: Trouble::Failed, message }) => {
                    return Ok(Check::failed("values", message));
                }
                answer => answer?,
            };
            let mut words = answer.into_iter();
            cursor = words.next().unwrap_or_default();
            while let (Some(kind), Some(number)) = (words.next(), words.next()) {
                let number = number.parse().unwrap_or(0);
                of_database = of_database.saturating_add(number);
                let of_type = types.entry(kind).or_default();
                *of_type = of_type.saturating_add(number);
            }
            // An answer that makes no sense is an end, too; what is missing shows below.
            if cursor == "0" || cursor.is_empty() {
                break;
            }
        }
        if of_database < keys.lasting() {
            let wanted = keys.lasting();
            let detail = format!("of database {database}, {of_database} keys could be read of at least {wanted}");
            return Ok(Check::failed("values", detail));
        }
        read = read.saturating_add(of_database);
    }
    let types: Vec<String> = types.into_iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    Ok(Check::passed("values", format!("{read} keys were read: {}", types.join(", "))))
}

#[cfg(test)]
mod tests {
    use backup_protocol::CheckOutcome;

    use super::*;

    fn contents(databases: &[(u32, u64, u64)]) -> Contents {
        let keyspace = databases.iter().map(|(number, all, expiring)| {
            (*number, Keys { all: *all, expiring: *expiring })
        });
        Contents { keyspace: keyspace.collect(), expired: 0, libraries: None }
    }

    #[test]
    fn a_key_may_be_missing_only_if_its_time_may_have_come() {
        let loaded = contents(&[(0, 10, 4), (3, 1, 1)]);
        for fine in [&[(0, 10, 4), (3, 1, 1)][..], &[(0, 7, 1)], &[(0, 6, 0)]] {
            assert_eq!(keys(&loaded, &contents(fine)).outcome, CheckOutcome::Passed, "{fine:?}");
        }
        for wrong in [&[(0, 9, 4), (3, 1, 1)][..], &[(0, 6, 0), (3, 1, 0)], &[(1, 6, 0)], &[]] {
            assert_eq!(keys(&loaded, &contents(wrong)).outcome, CheckOutcome::Failed, "{wrong:?}");
        }
    }
}
