//! What a request costs the database, counted by Postgres itself while the product's own statements run: no table is read
//! from end to end, and a long history costs no more than a short one.

use std::collections::{BTreeMap, HashMap};
use std::thread::sleep;
use std::time::Duration;

use backup_core::actions::{explain::explain, inspect, request_backup::request_backup};
use backup_core::domain::actor::Actor;
use backup_core::domain::cipher::KeyRing;
use backup_core::domain::identifiers::{BackupId, ServiceInstanceGuid, ServiceInstanceId};
use backup_core::store::{Database as CoreDatabase, deletions, places};
use backup_core::{Manager, Policy, Settings};
use backup_testkit::Database;
use secrecy::SecretString;

const INSTANCES: i64 = 500;

/// Instances as in production, each with the same number of finished backups, and statistics that know of them.
fn fleet(backups_each: i64) -> Database {
    let database = Database::create().unwrap();
    database
        .execute(&format!(
            "SET session_replication_role = replica;
             INSERT INTO service_brokers (name) VALUES ('broker');
             INSERT INTO service_instances (guid, backup_guid, service_broker_id, state, deployment_name, plan_guid, data_service, store)
             SELECT 'instance-' || i, gen_random_uuid(), 1, 'available', 'd' || i, gen_random_uuid(), 'postgresql', 'local'
             FROM generate_series(1, {INSTANCES}) AS i;
             INSERT INTO encryption_keys (service_instance_id, ciphertext, master_key_id, is_own)
             SELECT id, decode(repeat('00', 93), 'hex'), 'seed', false FROM service_instances;
             INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix,
                                  size, checksum, triggered_at, started_at, finished_at)
             SELECT i, i || '-' || g, 'done', true, i, 'local', 'backups', 1000, repeat('0', 64), now(), now(), now()
             FROM generate_series(1, {backups_each}) AS g, generate_series(1, {INSTANCES}) AS i;
             INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id, status)
             SELECT service_instance_id, id, backup_id, now(), 'r-' || id, 'done' FROM backups WHERE id <= 1000;
             INSERT INTO holds (backup_row_id, reason, held_by, is_operators)
             SELECT id, 'a reason', 'admin', true FROM backups WHERE id <= 1000;
             INSERT INTO verifications (backup_row_id, verdict, last_verified_at)
             SELECT id, 'passed', now() FROM backups WHERE id <= 1000;
             ANALYZE;"
        ))
        .unwrap();
    database
}

fn manager(database: &Database) -> Manager {
    let key = ("one".to_owned(), SecretString::from("0123456789abcdef"));
    let settings = Settings {
        policy: Policy::default(),
        brokers: Vec::new(),
        stores: HashMap::new(),
        key_ring: KeyRing::new(vec![key]).unwrap(),
    };
    // The plans that serve any parameters: those that the statements of a long-lived connection end up with.
    let url = format!("{}?options=-c%20plan_cache_mode%3Dforce_generic_plan", database.url());
    Manager::new(CoreDatabase::new(&url, 1, Duration::from_secs(10)), settings)
}

/// Per table: how often it was read from end to end, and how many of its rows were read.
type Reads = BTreeMap<String, (i64, i64)>;

/// The counters since the database was made. A connection reports its own when it ends.
fn reads(database: &Database) -> Reads {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..1000 {
        if database.value(others).unwrap().as_deref() == Some("0") {
            let list = "SELECT string_agg(concat_ws(' ', relname, seq_scan, seq_tup_read + coalesce(idx_tup_fetch, 0)), ',')
                        FROM pg_stat_user_tables";
            let list = database.value(list).unwrap().unwrap();
            return list.split(',').map(parse).collect();
        }
        sleep(Duration::from_millis(10));
    }
    panic!("a connection does not end");
}

fn parse(line: &str) -> (String, (i64, i64)) {
    let words: Vec<_> = line.split(' ').collect();
    (words[0].to_owned(), (words[1].parse().unwrap(), words[2].parse().unwrap()))
}

/// What was read while the requests of one manager were carried out, tables of a few rows left out.
async fn cost<F: Future<Output = ()>>(database: &Database, requests: impl FnOnce(Manager) -> F) -> Reads {
    let before = reads(database);
    requests(manager(database)).await;
    let mut after = reads(database);
    for (table, (scans, rows)) in &before {
        let entry = after.get_mut(table).unwrap();
        *entry = (entry.0 - scans, entry.1 - rows);
    }
    after.remove("service_brokers");
    after
}

fn guid(number: i64) -> ServiceInstanceGuid {
    ServiceInstanceGuid::parse(&format!("instance-{number}")).unwrap()
}

/// Asks for backups of some instances, one of them twice with the same key, and shows others.
async fn points(manager: Manager) {
    for number in 1..=20 {
        request_backup(&manager, &Actor::worker(), &guid(number), None).await.unwrap();
        inspect::backup(&manager, &guid(number), BackupId(number)).await.unwrap();
    }
    for is_new in [true, false] {
        let key = Some("key".to_owned());
        let requested = request_backup(&manager, &Actor::worker(), &guid(21), key).await.unwrap();
        assert_eq!(requested.is_new, is_new);
    }
}

#[tokio::test]
async fn a_request_reads_no_more_rows_with_a_long_history_than_with_a_short_one() {
    let (short, long) = (fleet(4), fleet(80));
    let (short, long) = (cost(&short, points).await, cost(&long, points).await);
    for (table, (scans, rows)) in &long {
        assert_eq!(*scans, 0, "{table} was read from end to end: {long:?}");
        // Six in the case of backups: itself twice, what it refers to, and the newest name.
        assert!(*rows <= 22 * 6, "{rows} rows of {table} were read: {long:?}");
        assert!(*rows <= short[table].1 + 22, "{table}: {short:?}, {long:?}");
    }
    assert!(long["backups"].1 > 0, "nothing was counted: {long:?}");
}

#[tokio::test]
async fn a_list_of_backups_reads_those_of_its_instance_only() {
    let database = fleet(80);
    let cost = cost(&database, |manager| async move {
        let instance = inspect::instance(&manager, &guid(7)).await.unwrap();
        assert_eq!(inspect::backups_before(&manager, instance.id, None).await.unwrap().len(), 80);
    })
    .await;
    // The keys, the holds and the verdicts of so small a fleet are cheaper read at once.
    let is_small = |table: &str| ["encryption_keys", "holds", "verifications"].contains(&table);
    for (table, (scans, rows)) in cost.iter().filter(|(table, _)| !is_small(table)) {
        assert_eq!(*scans, 0, "{table} was read from end to end: {cost:?}");
        assert!(*rows <= 90, "{rows} rows of {table} were read: {cost:?}");
    }
}

#[tokio::test]
async fn what_the_workers_look_for_again_and_again_costs_nothing_while_there_is_none() {
    let database = fleet(80);
    let cost = cost(&database, |manager| async move {
        let look = |conn: &mut diesel::PgConnection| {
            assert!(!places::is_anybody_waiting(conn)?);
            deletions::list_instances_to_clean(conn, ServiceInstanceId(0), 100, &Policy::default())
        };
        assert!(manager.database.transaction(look).await.unwrap().is_empty());
    })
    .await;
    assert_eq!(cost["backups"], (0, 0), "{cost:?}");
}

/// Lines of 500 owners; in each, as many backups wait for a place.
fn waiting_fleet(waiting_each: i64) -> Database {
    let database = fleet(4);
    database
        .execute(&format!(
            "INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix)
             SELECT i, i || '-queued-' || g, 'queued', true, i, 'local', 'backups'
             FROM generate_series(1, {waiting_each}) AS g, generate_series(1, {INSTANCES}) AS i;
             INSERT INTO place_lines (service_broker_id, store, owner)
             SELECT 1, 'local', 'owner-' || i FROM generate_series(1, {INSTANCES}) AS i;
             INSERT INTO places (backup_row_id, line_id, is_scheduled)
             SELECT id, service_instance_id, true FROM backups WHERE status = 'queued';
             VACUUM ANALYZE"
        ))
        .unwrap();
    database
}

/// Gives some places, as whoever ends a backup does.
async fn giving(manager: Manager) {
    for _ in 0..20 {
        let give = |conn: &mut diesel::PgConnection| {
            assert!(places::is_anybody_waiting(conn)?);
            let in_a_row = places::lock_turns(conn)?;
            places::standing(conn, 1)?;
            assert!(places::heads(conn, false)?.is_empty());
            let lines = places::heads(conn, true)?;
            let backup = places::find_first(conn, &lines[0])?.unwrap();
            assert!(places::give(conn, backup)?);
            places::update_turns(conn, in_a_row)
        };
        manager.database.transaction(give).await.unwrap();
    }
}

#[tokio::test]
async fn giving_a_place_reads_no_more_rows_with_thousands_waiting() {
    let (few, many) = (waiting_fleet(1), waiting_fleet(20));
    let (few, many) = (cost(&few, giving).await, cost(&many, giving).await);
    for table in ["places", "place_lines"] {
        let (scans, rows) = many[table];
        assert_eq!(scans, 0, "{table} was read from end to end: {many:?}");
        // Of the lines: those that hold a place, one to look whether anybody waits, the pair, the head, and two for the counts.
        assert!(rows <= 20 * 30, "{rows} rows of {table} were read: {many:?}");
        assert!(rows <= few[table].1 + 40, "{table}: {few:?}, {many:?}");
    }
    assert!(many["places"].1 > 0, "nothing was counted: {many:?}");
}

#[tokio::test]
async fn an_explanation_reads_a_handful_of_rows() {
    let database = waiting_fleet(20);
    let cost = cost(&database, |manager| async move {
        for number in 1..=20 {
            explain(&manager, &guid(number)).await.unwrap();
        }
    })
    .await;
    // Its place in the line, the line itself and those ahead; the backups of the instance that wait.
    for (table, most) in
        [("places", 20 * 25), ("place_lines", 20 * 5), ("backups", 20 * 45), ("restores", 20)]
    {
        let (scans, rows) = cost[table];
        assert_eq!(scans, 0, "{table} was read from end to end: {cost:?}");
        assert!(rows <= most, "{rows} rows of {table} were read: {cost:?}");
    }
}
