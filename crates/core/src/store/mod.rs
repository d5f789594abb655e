//! The product's tables, with Diesel. Row structs stay private here; functions speak domain types and take the
//! caller's connection, because only actions open transactions. Functions: `find_` may be absent, `get_` is an error
//! when absent.

pub mod adoptions;
pub mod audit_events;
pub mod backups;
pub mod catalogue_rebuilds;
mod database;
pub mod deletion_facts;
pub mod deletions;
pub mod encryption_keys;
pub mod explanations;
pub mod fan_out;
pub mod history;
pub mod holds;
pub mod listings;
mod lost;
pub mod migrations;
pub mod operations;
pub mod pitr;
pub mod places;
pub mod reconciliation_facts;
pub mod reconciliations;
pub mod rehearsals;
pub mod restores;
pub mod row_counts;
mod schema;
pub mod service_brokers;
pub mod service_instances;
pub mod state;
mod statuses;
pub mod summaries;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;

use crate::Result;

pub use database::{ConnectionPool, Database};
pub use lost::lost;

/// The database's clock: the only one decisions are made with, so that a host with a wrong clock decides nothing.
pub fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(diesel::select(diesel::dsl::now.into_sql::<diesel::sql_types::Timestamptz>()).get_result(conn)?)
}

/// Adds bounds to a connection string that does not set them itself: libpq waits for ever by default, but a daemon must
/// notice a host that lost its power, also while it waits for an answer.
#[must_use]
pub fn connection_string(url: &str) -> String {
    const BOUNDS: [(&str, &str); 5] = [
        // Per host, and libpq takes no less. A request that waits for a connection outlasts one dead host.
        ("connect_timeout", "2"),
        ("tcp_user_timeout", "10000"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
    ];
    let mut url = url.to_owned();
    let is_uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
    for (key, value) in BOUNDS {
        if url.contains(key) {
            continue;
        }
        url.push(if !is_uri {
            ' '
        } else if url.contains('?') {
            '&'
        } else {
            '?'
        });
        url.push_str(key);
        url.push('=');
        url.push_str(value);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::connection_string;

    #[test]
    fn both_forms_of_a_connection_string_get_bounds_once() {
        let uri = connection_string("postgres://h/d");
        assert!(
            uri.starts_with("postgres://h/d?connect_timeout=2&tcp_user_timeout=10000&keepalives_idle=10"),
            "{uri}"
        );
        let own = connection_string("postgresql://h/d?connect_timeout=1");
        assert!(own.starts_with("postgresql://h/d?connect_timeout=1&tcp_user_timeout=10000"), "{own}");
        let words = connection_string("host=h,i dbname=d");
        assert!(words.starts_with("host=h,i dbname=d connect_timeout=2 tcp_user_timeout=10000"), "{words}");
        assert_eq!(connection_string(&words), words);
    }
}
