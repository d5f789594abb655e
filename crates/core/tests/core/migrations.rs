//! The migrations as a whole.

use std::thread;

use backup_core::Error;
use backup_core::store::Database as CoreDatabase;
use backup_core::store::migrations::{MIGRATIONS, are_pending, run, run_at_start};
use backup_testkit::Database;
use diesel_migrations::MigrationHarness;
use std::time::Duration;

const TABLES: &str = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name IN
    ('service_brokers', 'service_instances', 'backups', 'restores', 'jobs', 'job_attempts', 'schedules', 'encryption_keys',
     'audit_events')";

#[test]
fn migrations_go_up_down_and_up_again() {
    let database = Database::empty().unwrap();
    let mut conn = database.connection().unwrap();
    assert!(are_pending(&mut conn).unwrap());
    assert!(run(&mut conn).unwrap() >= 2);
    assert_eq!(database.value(TABLES).unwrap().as_deref(), Some("9"));
    conn.revert_all_migrations(MIGRATIONS).unwrap();
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%'";
    assert_eq!(database.value(left).unwrap().as_deref(), Some("0"));
    let functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname NOT LIKE 'diesel%'";
    assert_eq!(database.value(functions).unwrap().as_deref(), Some("0"));
    assert!(run(&mut conn).unwrap() >= 2);
    assert_eq!(database.value(TABLES).unwrap().as_deref(), Some("9"));
    assert!(!are_pending(&mut conn).unwrap());
}

#[test]
fn several_daemons_starting_at_once_migrate_once() {
    let database = Database::empty().unwrap();
    let done: Vec<usize> = thread::scope(|scope| {
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let mut conn = database.connection().unwrap();
                scope.spawn(move || run(&mut conn).unwrap())
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_eq!(done.iter().filter(|count| **count > 0).count(), 1, "{done:?}");
}

#[tokio::test]
async fn a_daemon_gives_up_on_an_unreachable_database_after_its_patience() {
    let nowhere = CoreDatabase::new("postgres://postgres@127.0.0.1:9/none", 1, Duration::from_millis(200));
    let error = run_at_start(&nowhere, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, Error::DatabaseUnavailable(_)), "{error}");
}
