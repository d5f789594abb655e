//! What listing the audit trail costs, asked of Postgres itself.

use backup_core::domain::audit::{AuditAction, AuditFilter};
use backup_core::domain::identifiers::ServiceInstanceGuid;
use backup_core::store::audit_events;
use backup_testkit::Database;
use chrono::{TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

/// Years of history: most of it the operator's and the worker's, a little of one owner's; one per minute.
const HISTORY: &str = "
    INSERT INTO audit_events (at, actor, action, service_instance_guid, subject, address, request_id)
    SELECT now() - n * interval '1 minute',
           CASE WHEN n % 10000 = 0 THEN 'olga' WHEN n % 2 = 0 THEN 'admin' ELSE 'worker' END,
           CASE WHEN n % 10000 = 0 THEN 'delete_backup' WHEN n % 2 = 0 THEN 'request_backup' ELSE 'mark_backup' END,
           'g-' || n % 1000, 'backup ' || n, '10.0.0.1', 'r-' || n
    FROM generate_series(200000, 1, -1) AS n;
    ANALYZE audit_events";

#[derive(QueryableByName)]
struct Read {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Rows of the table that the open transaction has read so far, shown or not.
fn read_so_far(conn: &mut PgConnection) -> i64 {
    let sql = "SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = 'audit_events'";
    diesel::sql_query(sql).get_result::<Read>(conn).unwrap().rows
}

fn filters() -> Vec<AuditFilter> {
    let instance = |guid: &str| ServiceInstanceGuid::parse(guid);
    let ago = |minutes| Some(Utc::now() - TimeDelta::minutes(minutes));
    let actor = |name: &str| Some(name.to_owned());
    let all = AuditFilter::default();
    vec![
        all.clone(),
        AuditFilter { since: ago(30), ..all.clone() },
        AuditFilter { before: ago(199_990), ..all.clone() },
        AuditFilter { since: ago(100_010), before: ago(100_000), ..all.clone() },
        AuditFilter { instance: instance("g-7"), ..all.clone() },
        AuditFilter { instance: instance("unknown"), ..all.clone() },
        AuditFilter { actor: actor("olga"), ..all.clone() },
        AuditFilter { actor: actor("nobody"), ..all.clone() },
        AuditFilter { actor: actor("admin"), before: ago(199_990), ..all.clone() },
        AuditFilter { action: Some(AuditAction::DeleteBackup), ..all.clone() },
        AuditFilter { action: Some(AuditAction::MarkBackup), since: ago(30), ..all.clone() },
        AuditFilter { actor: actor("admin"), action: Some(AuditAction::MarkBackup), ..all.clone() },
        AuditFilter { actor: actor("worker"), action: Some(AuditAction::MarkBackup), ..all.clone() },
        AuditFilter { instance: instance("g-7"), actor: actor("olga"), since: ago(30), ..all.clone() },
        AuditFilter {
            action: Some(AuditAction::MarkBackup),
            actor: actor("worker"),
            since: ago(100_010),
            before: ago(100_000),
            ..all.clone()
        },
        AuditFilter { before_id: Some(100_000), ..all.clone() },
        AuditFilter { before_id: Some(100_000), actor: actor("worker"), ..all.clone() },
        AuditFilter { before_id: Some(100_000), instance: instance("g-7"), ..all },
    ]
}

#[test]
fn no_filter_of_the_audit_trail_reads_its_history() {
    let database = Database::create().unwrap();
    database.execute(HISTORY).unwrap();
    let mut conn = database.connection().unwrap();
    conn.test_transaction::<_, diesel::result::Error, _>(|conn| {
        for filter in filters() {
            let before = read_so_far(conn);
            let shown = audit_events::list(conn, &filter, 100).unwrap();
            let read = read_so_far(conn) - before;
            // One instance of the thousand has 200 events, and they may be read as a whole.
            let most = if filter.instance.is_some() { 210 } else { 110 };
            assert!(read <= most, "{read} rows read for {} shown: {filter:?}", shown.len());
            let mut sorted = shown.clone();
            sorted.sort_by_key(|event| std::cmp::Reverse((event.at, event.id)));
            assert_eq!(shown, sorted);
        }
        Ok(())
    });
}

#[test]
fn pages_meet_without_gap_or_overlap_also_where_many_events_share_a_moment() {
    let database = Database::create().unwrap();
    let sql = "INSERT INTO audit_events (at, actor, action) SELECT now() - n / 7 * interval '1 minute', 'a', 'mark_backup'
               FROM generate_series(100, 1, -1) AS n";
    database.execute(sql).unwrap();
    let mut conn = database.connection().unwrap();
    let all = audit_events::list(&mut conn, &AuditFilter::default(), 1000).unwrap();
    assert_eq!(all.len(), 100);
    let (mut paged, mut filter) = (Vec::new(), AuditFilter::default());
    loop {
        let page = audit_events::list(&mut conn, &filter, 9).unwrap();
        let Some(last) = page.last() else { break };
        filter.before_id = Some(last.id);
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let beyond = AuditFilter { before_id: Some(i64::MAX), ..AuditFilter::default() };
    assert_eq!(audit_events::list(&mut conn, &beyond, 1000).unwrap(), all);
}
