//! The searches for instances with something to delete, beside the gate, whose word alone counts.

use std::collections::BTreeSet;
use std::time::Duration;

use backup_core::Policy;
use backup_core::domain::deletion::{Cause, DeletionRule, Gate, Step};
use backup_core::domain::identifiers::ServiceInstanceId;
use backup_core::store::{self, deletion_facts, deletions};
use backup_testkit::Database;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Timestamptz};

use crate::fleet::instances;

/// Every instance has one kind of backup in two ages, among five good young ones or none; a third of them are deleted, for
/// long or not, and a third have a retention time of their own.
const WORLD: &str = "
    SET session_replication_role = replica;
    UPDATE service_instances SET retention_days = CASE id % 3 WHEN 1 THEN 0 WHEN 2 THEN 60 END,
        deleted_at = CASE id / 3 % 3 WHEN 1 THEN now() - interval '1 hour' WHEN 2 THEN now() - interval '31 days' END;
    INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix, size, checksum,
                         reason_code, has_remains, marked_deleted_at, removal_reason, triggered_at, finished_at)
    SELECT id, id || '-' || age, status, true, id, 'local', 'p', 1, 'c', CASE WHEN status = 'failed' OR kind = 4 THEN 'timed_out' END,
           kind = 2, CASE WHEN status = 'deleted' THEN now() - CASE kind WHEN 5 THEN interval '1 hour' ELSE interval '25 hours' END END,
           CASE WHEN kind = 6 THEN 'it was begun' END, now() - age * interval '1 day', now() - age * interval '1 day'
    FROM (SELECT id, id / 18 % 7 AS kind,
                 (ARRAY['done', 'failed', 'failed', 'deleted', 'deleted', 'deleted', 'deleted'])[id / 18 % 7 + 1] AS status
          FROM service_instances) AS i, unnest(ARRAY[1, 8]) AS age;
    INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix, size, checksum, finished_at)
    SELECT id, id || '/' || n, 'done', true, id, 'local', 'p', 1, 'c', now()
    FROM service_instances, generate_series(1, 5) AS n WHERE id / 9 % 2 = 0;
    ANALYZE";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Integer>)]
    retention_days: Option<i32>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    deleted_at: Option<DateTime<Utc>>,
}

/// What a transaction has read so far.
#[derive(QueryableByName)]
struct Read {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn all(list: impl Fn(ServiceInstanceId) -> Vec<ServiceInstanceId>) -> BTreeSet<i64> {
    let (mut found, mut after) = (BTreeSet::new(), ServiceInstanceId(0));
    loop {
        let next = list(after);
        let Some(last) = next.last() else { return found };
        after = *last;
        found.extend(next.iter().map(|id| id.0));
    }
}

#[test]
fn whatever_the_gate_permits_is_found_by_the_search_for_it() {
    let database = Database::create().unwrap();
    instances(&database, 126);
    database.execute(WORLD).unwrap();
    let mut conn = database.connection().unwrap();
    let policy = Policy { undo_window: Duration::from_secs(24 * 3600), ..Policy::default() };
    let rows: Vec<Row> = diesel::sql_query("SELECT id, retention_days, deleted_at FROM service_instances")
        .load(&mut conn)
        .unwrap();
    let (mut to_mark, mut to_clean) = (BTreeSet::new(), BTreeSet::new());
    for Row { id, retention_days, deleted_at } in rows {
        // As the deleter makes it.
        let rule = DeletionRule {
            deleted_at,
            min_backup_count: policy.min_backup_count,
            retention_days: retention_days.unwrap_or(policy.retention_days),
            deleted_retention_days: policy.deleted_retention_days,
            undo_window: policy.undo_window,
            promises_moments: false,
            clients_may_go_below_minimum: true,
        };
        let facts = deletion_facts::list(&mut conn, ServiceInstanceId(id)).unwrap();
        let gate = Gate::new(rule, facts, store::now(&mut conn).unwrap());
        let permits = gate.ask_all(Cause::Retention).chain(gate.ask_all(Cause::Remains)).flatten();
        for permit in permits {
            if permit.step() == Step::Mark {
                to_mark.insert(id)
            } else {
                to_clean.insert(id)
            };
        }
    }
    let conn = std::cell::RefCell::new(conn);
    let marked =
        all(|after| deletions::list_instances_to_mark(&mut conn.borrow_mut(), after, 7, &policy).unwrap());
    let cleaned =
        all(|after| deletions::list_instances_to_clean(&mut conn.borrow_mut(), after, 7, &policy).unwrap());
    assert!(to_mark.is_subset(&marked), "{to_mark:?} {marked:?}");
    assert!(to_clean.is_subset(&cleaned), "{to_clean:?} {cleaned:?}");
    assert!(to_mark.len() > 20 && to_clean.len() > 10, "the world has something of each");
    assert!(marked.len() < 126 && cleaned.len() < 80, "and the searches leave out most of the rest");
}

#[test]
fn a_removal_reads_its_backup_only_however_many_others_are_marked() {
    let database = Database::create().unwrap();
    instances(&database, 2000);
    let insert = "SET session_replication_role = replica;
        INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix, size, checksum, finished_at)
        SELECT id, id || '-1', 'done', true, id, 'local', 'p', 1, 'c', now() - interval '30 days' FROM service_instances";
    database.execute(insert).unwrap();
    // Statistics know of none that is marked, as on the day on which retention lets go of the first.
    database.execute("VACUUM ANALYZE backups").unwrap();
    let mark = "SET session_replication_role = replica;
        UPDATE backups SET status = 'deleted', marked_deleted_at = now() - interval '25 hours'";
    database.execute(mark).unwrap();
    let mut conn = database.connection().unwrap();
    let rule = DeletionRule {
        deleted_at: None,
        min_backup_count: 0,
        retention_days: 1,
        deleted_retention_days: 1,
        undo_window: Duration::ZERO,
        promises_moments: false,
        clients_may_go_below_minimum: true,
    };
    let facts = deletion_facts::list(&mut conn, ServiceInstanceId(1)).unwrap();
    let gate = Gate::new(rule, facts, store::now(&mut conn).unwrap());
    let permit = gate.ask_all(Cause::Client).flatten().next().unwrap();
    assert_eq!(permit.step(), Step::Remove);
    let read = conn
        .transaction(|conn| {
            assert!(deletions::begin(conn, &permit).unwrap());
            diesel::sql_query(
                "SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = 'backups'",
            )
            .get_result::<Read>(conn)
        })
        .unwrap();
    assert!(read.rows <= 10, "{} rows were read", read.rows);
}
