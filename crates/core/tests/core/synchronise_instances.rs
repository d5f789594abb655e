//! What a synchronisation costs the database. What it makes of a broker's word is tested in the worker's tests.

use std::fmt::Write;

use backup_core::actions::synchronise_instances::synchronise_broker;
use backup_core::{Manager, jobs};
use backup_testkit::Database;
use tempfile::NamedTempFile;

use crate::fleet::{Statements, claimed, manager, value};

fn write(inventory: &NamedTempFile, count: usize, extra: &str) {
    let mut text = "instances:\n".to_owned();
    for number in 1..=count {
        writeln!(text, "  - {{guid: instance-{number}{extra}}}").unwrap();
    }
    std::fs::write(inventory.path(), text).unwrap();
}

async fn synchronise(manager: &Manager, database: &Database) {
    let job = claimed(database, &jobs::update_instance_state(Some("broker")));
    synchronise_broker(manager, &job, "broker").await.unwrap();
    database.execute("DELETE FROM jobs WHERE kind = 'update_instance_state'").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronisation_sends_no_more_statements_for_many_instances_than_for_one() {
    let mut sent = Vec::new();
    for count in [1, 400] {
        let (database, statements) = (Database::create().unwrap(), Statements::default());
        let inventory = NamedTempFile::new().unwrap();
        let manager = manager(&database, &statements, inventory.path().to_owned());
        let mut steps = Vec::new();
        for extra in ["", "", ", plan_guid: other", ", deleted_at: 2026-01-01T00:00:00Z"] {
            write(&inventory, count, extra);
            let before = statements.count();
            synchronise(&manager, &database).await;
            steps.push(statements.count() - before);
        }
        sent.push(steps);
        let done = "SELECT concat_ws(' ', (SELECT count(*) FROM service_instances WHERE deleted_at IS NOT NULL AND plan_guid IS NULL),
            (SELECT count(*) FROM encryption_keys), (SELECT count(*) FROM jobs WHERE unique_key LIKE 'mark-deleted-instance-%'),
            (SELECT count(*) FROM audit_events WHERE action = 'delete_instance'))";
        assert_eq!(value(&database, done), format!("{count} {count} {count} {count}"));
    }
    assert_eq!(sent[0], sent[1], "new, unchanged, changed, deleted: for one instance, and for many");
}
