//! What the schema refuses, so that no defect of a daemon can do it.

use backup_testkit::Database;

use crate::status_moves::{insert_restore, move_restore};

fn run_backup(database: &Database, id: i64) -> anyhow::Result<()> {
    database.execute(&format!("UPDATE backups SET status = 'running' WHERE id = {id}"))
}

#[test]
fn one_instance_runs_one_operation_at_a_time_across_backups_and_restores() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    let first = database.seed_backup(&instance, "queued", 0).unwrap();
    let second = database.seed_backup(&instance, "queued", 0).unwrap();
    let good = database.seed_backup(&instance, "done", 1).unwrap();
    let restore = insert_restore(&database, &instance, good.id).unwrap();

    run_backup(&database, first.id).unwrap();
    assert!(run_backup(&database, second.id).is_err());
    assert!(move_restore(&database, restore, "running").is_err());
    database
        .execute(&format!("UPDATE backups SET status = 'failed', reason_code = 'r' WHERE id = {}", first.id))
        .unwrap();
    move_restore(&database, restore, "running").unwrap();
    assert!(run_backup(&database, second.id).is_err());
    move_restore(&database, restore, "done").unwrap();
    run_backup(&database, second.id).unwrap();
}

#[test]
fn a_second_restore_of_an_instance_is_refused_while_the_first_is_unfinished() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    let backup = database.seed_backup(&instance, "done", 0).unwrap();
    let first = insert_restore(&database, &instance, backup.id).unwrap();
    assert!(insert_restore(&database, &instance, backup.id).is_err());
    move_restore(&database, first, "failed").unwrap();
    insert_restore(&database, &instance, backup.id).unwrap();
}

#[test]
fn only_a_done_backup_can_be_restored_and_none_in_use_can_be_marked() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    for status in ["queued", "running", "failed", "deleted"] {
        let backup = database.seed_backup(&instance, status, 0).unwrap();
        assert!(insert_restore(&database, &instance, backup.id).is_err(), "{status}");
    }
    let backup = database.seed_backup(&instance, "done", 0).unwrap();
    let restore = insert_restore(&database, &instance, backup.id).unwrap();
    let mark =
        format!("UPDATE backups SET status = 'deleted', marked_deleted_at = now() WHERE id = {}", backup.id);
    assert!(database.execute(&mark).is_err());
    move_restore(&database, restore, "failed").unwrap();
    database.execute(&mark).unwrap();
}

#[test]
fn a_row_goes_only_after_its_objects() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    for status in ["queued", "running", "done", "failed"] {
        let backup = database.seed_backup(&instance, status, 0).unwrap();
        let gone = format!(
            "UPDATE backups SET objects_gone_at = now() WHERE id = {0}; DELETE FROM backups WHERE id = {0}",
            backup.id
        );
        assert!(database.execute(&gone).is_err(), "{status}");
    }
    let backup = database.seed_backup(&instance, "deleted", 0).unwrap();
    let delete = format!("DELETE FROM backups WHERE id = {}", backup.id);
    assert!(database.execute(&delete).is_err());
    database
        .execute(&format!("UPDATE backups SET objects_gone_at = now() WHERE id = {}; {delete}", backup.id))
        .unwrap();
}

#[test]
fn done_needs_size_and_checksum_and_failed_needs_a_reason() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    let backup = database.seed_backup(&instance, "running", 0).unwrap();
    let id = backup.id;
    for incomplete in ["size = 0, checksum = 'c'", "size = 1, checksum = NULL"] {
        assert!(
            database
                .execute(&format!("UPDATE backups SET status = 'done', {incomplete} WHERE id = {id}"))
                .is_err()
        );
    }
    assert!(database.execute(&format!("UPDATE backups SET status = 'failed' WHERE id = {id}")).is_err());
    database
        .execute(&format!("UPDATE backups SET status = 'done', size = 1, checksum = 'c' WHERE id = {id}"))
        .unwrap();
}

#[test]
fn audit_events_can_be_added_not_changed() {
    let database = Database::create().unwrap();
    database.execute("INSERT INTO audit_events (actor, action) VALUES ('admin', 'request_backup')").unwrap();
    assert!(database.execute("UPDATE audit_events SET actor = 'somebody'").is_err());
    assert!(database.execute("DELETE FROM audit_events").is_err());
    assert!(database.execute("TRUNCATE audit_events").is_err());
    assert_eq!(database.value("SELECT actor FROM audit_events").unwrap().unwrap(), "admin");
}

/// Places a hold on a backup, past all actions.
fn hold(database: &Database, backup: i64, until: &str) -> anyhow::Result<()> {
    database.execute(&format!(
        "INSERT INTO holds (backup_row_id, reason, held_by, is_operators, held_until) VALUES ({backup}, 'r', 'olga', false, {until})"
    ))
}

#[test]
fn what_is_held_can_be_neither_marked_nor_removed() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    let id = database.seed_backup(&instance, "done", 0).unwrap().id;
    hold(&database, id, "NULL").unwrap();
    let change = |sql: &str| database.execute(&format!("{sql} WHERE id = {id}"));
    let mark = "UPDATE backups SET status = 'deleted', marked_deleted_at = now()";
    assert!(change(mark).is_err());
    database.execute("DELETE FROM holds").unwrap();
    change(mark).unwrap();
    // Marked first, held then: it stays, and can be undeleted.
    hold(&database, id, "now() + interval '1 hour'").unwrap();
    assert!(change("UPDATE backups SET removal_reason = 'r'").is_err());
    assert!(change("UPDATE backups SET objects_gone_at = now()").is_err());
    assert!(change("DELETE FROM backups").is_err());
    change("UPDATE backups SET status = 'done', marked_deleted_at = NULL").unwrap();
    assert!(change(mark).is_err());
    database.advance(std::time::Duration::from_secs(7200)).unwrap();
    change(mark).unwrap();
    change("UPDATE backups SET removal_reason = 'r', objects_gone_at = now()").unwrap();
    change("DELETE FROM backups").unwrap();
    assert_eq!(database.value("SELECT count(*) FROM holds").unwrap().unwrap(), "0");
}

#[test]
fn only_a_good_backup_whose_removal_has_not_begun_can_be_held() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    for (status, can_be_held) in
        [("queued", false), ("running", false), ("failed", false), ("done", true), ("deleted", true)]
    {
        let backup = database.seed_backup(&instance, status, 0).unwrap();
        assert_eq!(hold(&database, backup.id, "NULL").is_ok(), can_be_held, "{status}");
    }
    let begun = database.seed_backup(&instance, "deleted", 0).unwrap().id;
    database.execute(&format!("UPDATE backups SET removal_reason = 'r' WHERE id = {begun}")).unwrap();
    assert!(hold(&database, begun, "NULL").is_err());
}
