//! The arrows of spec 1.4, in the database and in the domain: the same.

use backup_core::domain::backup::BackupStatus;
use backup_core::domain::restore::RestoreStatus;
use backup_testkit::{Database, SeededInstance};

fn move_backup(database: &Database, id: i64, to: &str) -> anyhow::Result<()> {
    // Whatever else a status needs is given, so that only the move itself can be refused.
    database.execute(&format!(
        "UPDATE backups SET status = '{to}', size = 1, checksum = 'c', reason_code = 'cancelled', marked_deleted_at = now()
         WHERE id = {id}"
    ))
}

#[test]
fn the_database_and_the_domain_allow_the_same_moves() {
    let database = Database::create().unwrap();
    for from in BackupStatus::ALL {
        for to in BackupStatus::ALL {
            let instance =
                database.seed_instance("b", &format!("{}-{}", from.as_str(), to.as_str())).unwrap();
            let backup = database.seed_backup(&instance, from.as_str(), 0).unwrap();
            let moved = move_backup(&database, backup.id, to.as_str());
            assert_eq!(moved.is_ok(), from == to || from.can_become(to), "{from:?} -> {to:?}: {moved:?}");
        }
    }
}

#[test]
fn restores_move_only_along_their_arrows() {
    let database = Database::create().unwrap();
    for from in RestoreStatus::ALL {
        for to in RestoreStatus::ALL {
            let instance =
                database.seed_instance("b", &format!("{}-{}", from.as_str(), to.as_str())).unwrap();
            let backup = database.seed_backup(&instance, "done", 0).unwrap();
            let id = insert_restore(&database, &instance, backup.id).unwrap();
            let path: &[&str] = match from {
                RestoreStatus::Queued => &[],
                RestoreStatus::Running => &["running"],
                RestoreStatus::Done => &["running", "done"],
                RestoreStatus::Failed => &["failed"],
            };
            for status in path {
                move_restore(&database, id, status).unwrap();
            }
            let moved = move_restore(&database, id, to.as_str());
            assert_eq!(moved.is_ok(), from == to || from.can_become(to), "{from:?} -> {to:?}: {moved:?}");
        }
    }
}

#[test]
fn a_backup_starts_as_queued_and_nothing_else() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    for status in BackupStatus::ALL {
        let inserted = database.execute(&format!(
            "INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix,
                                  size, checksum, reason_code, marked_deleted_at)
             VALUES ({}, '{status}', '{status}', false, {}, 's', 'p', 1, 'c', 'r', now())",
            instance.id,
            instance.encryption_key_id,
            status = status.as_str()
        ));
        assert_eq!(inserted.is_ok(), status == BackupStatus::Queued, "{status:?}");
    }
}

#[test]
fn only_an_adopted_backup_may_start_as_done() {
    let database = Database::create().unwrap();
    let instance = database.seed_instance("b", "i").unwrap();
    for status in BackupStatus::ALL {
        let inserted = database.execute(&format!(
            "INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix,
                                  size, checksum, reason_code, marked_deleted_at, adopted_at)
             VALUES ({}, '{status}', '{status}', false, {}, 's', 'p', 1, 'c', 'r', now(), now())",
            instance.id,
            instance.encryption_key_id,
            status = status.as_str()
        ));
        let is_allowed = matches!(status, BackupStatus::Queued | BackupStatus::Done);
        assert_eq!(inserted.is_ok(), is_allowed, "{status:?}");
    }
}

pub(crate) fn insert_restore(
    database: &Database,
    target: &SeededInstance,
    backup: i64,
) -> anyhow::Result<i64> {
    let sql = format!(
        "INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id)
         VALUES ({}, {backup}, 'b', now(), gen_random_uuid()::text)",
        target.id
    );
    database.execute(&sql)?;
    Ok(database.value("SELECT max(id) FROM restores")?.expect("a restore").parse()?)
}

pub(crate) fn move_restore(database: &Database, id: i64, to: &str) -> anyhow::Result<()> {
    database
        .execute(&format!("UPDATE restores SET status = '{to}', reason_code = 'cancelled' WHERE id = {id}"))
}
