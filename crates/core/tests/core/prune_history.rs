//! What is forgotten when, what never is, and what finding it costs.

use std::path::PathBuf;
use std::time::Duration;

use backup_core::actions::prune_history::{BATCH, prune_history};
use backup_core::store::history::{Table, delete_old};
use backup_core::{HistoryPolicy, Manager, jobs};
use backup_testkit::Database;
use diesel::prelude::*;

use crate::fleet::{Statements, claimed, instances, manager, value};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn prune(manager: &Manager, database: &Database) {
    let job = claimed(database, &jobs::prune_history());
    prune_history(manager, &job).await.unwrap();
    database.execute("DELETE FROM jobs").unwrap();
}

/// Restores, rehearsals, events and former keys of instance 1, so many days old; each with its age in its name.
fn history(database: &Database, days: &[i32]) {
    for age in days {
        database
            .execute(&format!(
                "SET session_replication_role = replica;
                 INSERT INTO audit_events (at, actor, action) VALUES (now() - interval '{age} days', '{age}', 'mark_backup');
                 INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id, status, finished_at)
                 VALUES (1, 1, 'b', now(), '{age}', 'done', now() - interval '{age} days');
                 INSERT INTO rehearsals (service_instance_id, backup_row_id, rehearsal_id, is_scheduled, status, finished_at)
                 VALUES (1, 1, '{age}', true, 'done', now() - interval '{age} days');"
            ))
            .unwrap();
    }
}

fn left(database: &Database) -> [String; 3] {
    ["actor FROM audit_events", "restore_id FROM restores", "rehearsal_id FROM rehearsals"].map(|of| {
        let sql = format!("SELECT string_agg(age, ' ' ORDER BY age::integer) FROM (SELECT {of}) AS t (age)");
        value(database, &sql)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_forgotten_at_its_time_and_not_before() {
    let database = Database::create().unwrap();
    instances(&database, 1);
    history(&database, &[1, 399, 401, 5000]);
    // Unfinished, however old.
    database
        .execute(
            "SET session_replication_role = replica;
             INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id, status, triggered_at)
             VALUES (1, 2, 'b', now(), '6000', 'running', now() - interval '6000 days');",
        )
        .unwrap();
    let manager = manager(&database, &Statements::default(), PathBuf::new());
    prune(&manager, &database).await;
    assert_eq!(left(&database), ["1 399", "1 399 6000", "1 399"]);
    prune(&manager, &database).await;
    assert_eq!(left(&database), ["1 399", "1 399 6000", "1 399"], "once more changes nothing");
}

#[test]
fn what_is_kept_for_ever_is_kept_for_ever() {
    let database = Database::create().unwrap();
    instances(&database, 1);
    history(&database, &[36_000]);
    database.execute("UPDATE service_instances SET deleted_at = now() - interval '36000 days'").unwrap();
    let policy =
        HistoryPolicy { audit_events: None, restores: None, rehearsals: None, deleted_instances: None };
    let mut conn = database.connection().unwrap();
    for table in Table::ALL {
        assert_eq!(delete_old(&mut conn, table, &policy, BATCH).unwrap(), 0, "{}", table.name());
    }
}

#[test]
fn no_event_of_the_last_thirty_days_can_be_removed_by_anybody() {
    let database = Database::create().unwrap();
    history(&database, &[29, 31]);
    let hasty = HistoryPolicy { audit_events: Some(DAY), ..HistoryPolicy::default() };
    let mut conn = database.connection().unwrap();
    delete_old(&mut conn, Table::AuditEvents, &hasty, BATCH).expect_err("the younger one is protected");
    assert_eq!(left(&database)[0], "29 31");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_instance_is_forgotten_once_nothing_of_it_is_left() {
    let database = Database::create().unwrap();
    instances(&database, 7);
    database
        .execute(
            "SET session_replication_role = replica;
             UPDATE service_instances SET deleted_at = now() - interval '401 days' WHERE id <> 7;
             UPDATE service_instances SET deleted_at = now() - interval '399 days' WHERE id = 2;
             INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix, size,
                                  checksum, marked_deleted_at)
             VALUES (3, 'b', 'deleted', false, 3, 'local', 'p', 1, 'c', now() - interval '401 days');
             INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id, status, finished_at)
             VALUES (4, 1, 'b', now(), 'r', 'done', now() - interval '10 days');
             INSERT INTO rehearsals (service_instance_id, backup_row_id, rehearsal_id, is_scheduled, status, finished_at)
             VALUES (5, 1, 'r', true, 'done', now() - interval '10 days');",
        )
        .unwrap();
    let manager = manager(&database, &Statements::default(), PathBuf::new());
    // Somebody is at work on it.
    let mut conn = database.connection().unwrap();
    conn.transaction::<_, diesel::result::Error, _>(|conn| {
        diesel::sql_query("SELECT FROM service_instances WHERE id = 6 FOR NO KEY UPDATE").execute(conn)?;
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(prune(&manager, &database));
        });
        Ok(())
    })
    .unwrap();
    let ids = "SELECT string_agg(id::text, ',' ORDER BY id) FROM service_instances";
    assert_eq!(value(&database, ids), "2,3,4,5,6,7", "all but the first are needed, in use, young or alive");
    let keys = "SELECT string_agg(service_instance_id::text, ',' ORDER BY 1) FROM encryption_keys";
    assert_eq!(value(&database, keys), "2,3,4,5,6,7", "its key has gone with it");
    prune(&manager, &database).await;
    assert_eq!(value(&database, ids), "2,3,4,5,7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_key_goes_when_no_backup_was_made_with_it_any_more() {
    let database = Database::create().unwrap();
    instances(&database, 1);
    database
        .execute(
            "INSERT INTO encryption_keys (service_instance_id, ciphertext, master_key_id, is_own, is_current, created_at)
             VALUES (1, '\\x00', 'used', true, false, now() - interval '9 days'),
                    (1, '\\x00', 'unused', true, false, now() - interval '9 days'),
                    (1, '\\x00', 'new', true, false, now());
             INSERT INTO backups (service_instance_id, backup_id, is_scheduled, encryption_key_id, store, object_prefix)
             SELECT 1, 'b', false, id, 'local', 'p' FROM encryption_keys WHERE master_key_id = 'used';",
        )
        .unwrap();
    let manager = manager(&database, &Statements::default(), PathBuf::new());
    prune(&manager, &database).await;
    let keys = "SELECT string_agg(master_key_id, ' ' ORDER BY id) FROM encryption_keys";
    assert_eq!(value(&database, keys), "seed used new");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_thirty_searches_for_lost_backups_are_kept() {
    let database = Database::create().unwrap();
    database
        .execute(
            "INSERT INTO catalogue_rebuilds (is_dry_run, requested_by, status, finished_at)
             SELECT true, 'admin', 'done', now() FROM generate_series(1, 40);
             UPDATE catalogue_rebuilds SET status = 'running', finished_at = NULL WHERE id = 3;
             INSERT INTO catalogue_findings (rebuild_id, outcome, store, path, backup_id)
             SELECT id, 'adopted', 'local', n::text, 'b' FROM catalogue_rebuilds, generate_series(1, 300) AS n;",
        )
        .unwrap();
    let manager = manager(&database, &Statements::default(), PathBuf::new());
    prune(&manager, &database).await;
    let kept = "SELECT concat_ws(' ', count(*), min(id)) FROM catalogue_rebuilds";
    assert_eq!(value(&database, kept), "31 3", "and the one that runs");
    assert_eq!(value(&database, "SELECT count(*) FROM catalogue_findings"), "9300");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_pruned_in_batches_and_a_killed_run_is_gone_on_with() {
    let database = Database::create().unwrap();
    let events = BATCH * 2 + 1;
    database
        .execute(&format!(
            "INSERT INTO audit_events (at, actor, action)
             SELECT now() - interval '500 days' + n * interval '1 second', 'a', 'mark_backup' FROM generate_series(1, {events}) AS n;
             CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'killed'; END $$;
             CREATE TRIGGER die BEFORE DELETE ON audit_events FOR EACH ROW WHEN (OLD.id = {}) EXECUTE FUNCTION die();",
            BATCH + 1
        ))
        .unwrap();
    let manager = manager(&database, &Statements::default(), PathBuf::new());
    let job = claimed(&database, &jobs::prune_history());
    prune_history(&manager, &job).await.expect_err("killed in its second batch");
    let left = "SELECT count(*) FROM audit_events";
    assert_eq!(value(&database, left), (events - BATCH).to_string(), "a whole batch, the oldest, is gone");
    database.execute("DROP TRIGGER die ON audit_events").unwrap();
    prune_history(&manager, &job).await.unwrap();
    assert_eq!(value(&database, left), "0");
}

/// Per table: rows read and times it was read from end to end, of the open transaction.
fn reads(conn: &mut PgConnection) -> (i64, i64) {
    #[derive(QueryableByName)]
    struct Reads {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        rows: i64,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        scans: i64,
    }
    let sql = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint AS rows, coalesce(sum(seq_scan), 0)::bigint AS scans
               FROM pg_stat_xact_user_tables WHERE relname IN ('audit_events', 'restores', 'rehearsals', 'service_instances', 'backups')";
    let reads: Reads = diesel::sql_query(sql).get_result(conn).unwrap();
    (reads.rows, reads.scans)
}

#[test]
fn looking_for_what_is_old_reads_nothing_of_what_is_not() {
    let database = Database::create().unwrap();
    instances(&database, 2000);
    database
        .execute(
            "SET session_replication_role = replica;
             INSERT INTO audit_events (at, actor, action) SELECT now() - n * interval '1 hour', 'a', 'mark_backup' FROM generate_series(1, 5000) AS n;
             INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix, size, checksum)
             SELECT i, i || '-' || n, 'done', true, i, 'local', 'p', 1, 'c' FROM generate_series(1, 2000) AS i, generate_series(1, 5) AS n;
             INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id, status, finished_at)
             SELECT i, i, 'b', now(), i, 'done', now() FROM generate_series(1, 2000) AS i;
             INSERT INTO rehearsals (service_instance_id, backup_row_id, rehearsal_id, is_scheduled, status, finished_at)
             SELECT i, i, i, true, 'done', now() FROM generate_series(1, 2000) AS i;
             UPDATE service_instances SET deleted_at = now() WHERE id > 1000;
             ANALYZE;",
        )
        .unwrap();
    let mut conn = database.connection().unwrap();
    conn.test_transaction::<_, diesel::result::Error, _>(|conn| {
        let before = reads(conn);
        for table in Table::ALL {
            assert_eq!(delete_old(conn, table, &HistoryPolicy::default(), BATCH).unwrap(), 0);
        }
        let after = reads(conn);
        assert_eq!(after.1, before.1, "times a table was read from end to end");
        // Where a range of an index ends, its next entry may be looked at.
        assert!(after.0 - before.0 <= 10, "rows read: {}", after.0 - before.0);
        Ok(())
    });
}
