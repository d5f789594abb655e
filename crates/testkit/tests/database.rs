//! Databases of one's own, their migrations and their clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use backup_testkit::Database;

#[test]
fn two_databases_at_once_are_migrated_and_apart() {
    let first = Database::create().unwrap();
    let second = Database::create().unwrap();
    let instance = first.seed_instance("broker", "guid-1").unwrap();
    assert_eq!(instance.guid, "guid-1");
    let count = "SELECT count(*) FROM service_instances";
    assert_eq!(first.value(count).unwrap().as_deref(), Some("1"));
    assert_eq!(second.value(count).unwrap().as_deref(), Some("0"));
}

#[test]
fn the_clock_moves_for_everything_that_is_stored() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("broker", "guid-1").unwrap();
    for status in ["queued", "running", "done", "failed", "deleted"] {
        database.seed_backup(&instance, status, 1).unwrap();
    }
    database.advance(Duration::from_secs(2 * 86_400)).unwrap();
    let old = "SELECT count(*) FROM backups WHERE triggered_at BETWEEN now() - interval '73 hours' AND now() - interval '72 hours'";
    assert_eq!(database.value(old).unwrap().as_deref(), Some("5"));
    let created = "SELECT count(*) FROM service_instances WHERE created_at < now() - interval '47 hours'";
    assert_eq!(database.value(created).unwrap().as_deref(), Some("1"));
}

#[test]
fn a_dropped_database_is_gone_although_connections_are_open() {
    let witness = Database::empty().unwrap();
    let database = Database::create().unwrap();
    let _connection = database.connection().unwrap();
    let _pool = database.pool().unwrap();
    let gone = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", database.name());
    assert_eq!(witness.value(&gone).unwrap().as_deref(), Some("1"));
    drop(database);
    assert_eq!(witness.value(&gone).unwrap().as_deref(), Some("0"));
}
