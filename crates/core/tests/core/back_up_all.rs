//! The fan-out of backups over a fleet: what it costs, and what a crash or a client in its way leaves of it. What becomes of
//! the backups is tested in the worker's tests.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use backup_core::actions::back_up_all::back_up_all;
use backup_core::jobs;
use backup_testkit::Database;
use diesel::connection::SimpleConnection;

use crate::fleet::{Statements, claimed, instances, manager, value};

const BACKUPS_AND_JOBS: &str = "SELECT concat_ws(' ', (SELECT count(*) FROM backups), (SELECT count(DISTINCT service_instance_id) FROM backups),
    (SELECT count(*) FROM jobs WHERE kind = 'start_operation'))";

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_sends_no_more_statements_for_many_instances_than_for_one() {
    let mut sent = Vec::new();
    for count in [1, 400] {
        let (database, statements) = (Database::create().unwrap(), Statements::default());
        instances(&database, count);
        // One of them lacks its key, and gets it on the way.
        database.execute("DELETE FROM encryption_keys WHERE service_instance_id = 1").unwrap();
        let manager = manager(&database, &statements, PathBuf::new());
        let job = claimed(&database, &jobs::backup_all());
        back_up_all(&manager, &job).await.unwrap();
        assert_eq!(value(&database, BACKUPS_AND_JOBS), format!("{count} {count} {count}"));
        assert_eq!(value(&database, "SELECT count(*) FROM backups WHERE encryption_key_id IS NULL"), "0");
        let names = "SELECT count(*) FROM service_instances i JOIN backups b ON b.service_instance_id = i.id
                     WHERE b.backup_id = i.backup_guid || '-' || i.last_name_millis";
        assert_eq!(value(&database, names), count.to_string(), "names are remembered");
        sent.push(statements.count());
    }
    assert_eq!(sent[0], sent[1], "statements for one instance, and for many");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_that_was_killed_half_way_asks_the_others_and_nobody_twice() {
    let database = Database::create().unwrap();
    instances(&database, 1200);
    database
        .execute(
            "UPDATE service_instances SET state = 'stopped' WHERE id % 100 = 7;
             CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'killed'; END $$;
             CREATE TRIGGER die BEFORE INSERT ON backups FOR EACH ROW WHEN (NEW.service_instance_id = 777) EXECUTE FUNCTION die();",
        )
        .unwrap();
    let manager = manager(&database, &Statements::default(), PathBuf::new());
    let job = claimed(&database, &jobs::backup_all());
    back_up_all(&manager, &job).await.expect_err("killed in its second chunk");
    assert_eq!(value(&database, BACKUPS_AND_JOBS), "693 693 693", "the others are committed, and whole");
    // Meanwhile one of them has ended, one was asked for again, and one that was skipped is available.
    database
        .execute(
            "DROP TRIGGER die ON backups;
             UPDATE backups SET status = 'failed', reason_code = 'cancelled' WHERE service_instance_id IN (1, 2);
             INSERT INTO backups (service_instance_id, backup_id, is_scheduled, encryption_key_id, store, object_prefix)
             SELECT 2, 'on demand', false, 2, 'local', 'p';
             UPDATE service_instances SET state = 'available' WHERE id = 107;",
        )
        .unwrap();
    back_up_all(&manager, &job).await.unwrap();
    let scheduled = "SELECT concat_ws(' ', count(*), count(DISTINCT service_instance_id)) FROM backups WHERE is_scheduled";
    assert_eq!(value(&database, scheduled), "1189 1189");
    let skipped =
        "SELECT concat_ws(' ', count(*), bool_and(last_skip_reason LIKE '%stopped%')) FROM service_instances
                   WHERE last_skip_reason IS NOT NULL AND id <> 107";
    assert_eq!(value(&database, skipped), "11 t", "and whoever was asked counts as asked");
    back_up_all(&manager, &job).await.unwrap();
    assert_eq!(value(&database, scheduled), "1189 1189", "once more changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_commits_while_the_fan_out_waits_for_it_is_seen() {
    let database = Database::create().unwrap();
    instances(&database, 2);
    let mut client = database.connection().unwrap();
    client
        .batch_execute(
            "BEGIN; SELECT FROM service_instances WHERE id = 1 FOR NO KEY UPDATE;
             INSERT INTO backups (service_instance_id, backup_id, is_scheduled, encryption_key_id, store, object_prefix)
             VALUES (1, 'on demand', false, 1, 'local', 'p');",
        )
        .unwrap();
    let manager = manager(&database, &Statements::default(), PathBuf::new());
    let job = claimed(&database, &jobs::backup_all());
    let fan_out = tokio::spawn(async move { back_up_all(&manager, &job).await.map(drop) });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..1000 {
        if value(&database, waits) == "1" {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    assert_eq!(value(&database, waits), "1", "the fan-out waits for the client");
    client.batch_execute("COMMIT").unwrap();
    fan_out.await.unwrap().unwrap();
    assert_eq!(
        value(&database, "SELECT string_agg(service_instance_id::text, ',' ORDER BY 1) FROM backups"),
        "1,2"
    );
    let reason = value(&database, "SELECT last_skip_reason FROM service_instances WHERE id = 1");
    assert!(reason.contains("already"), "{reason}");
}
