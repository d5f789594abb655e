//! Takes back an automatic deletion within the undo window.

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::backup::{Backup, BackupStatus};
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::manager::Manager;
use crate::store::{audit_events, backups, deletions, service_instances};
use crate::{Error, Result};

/// `deleted` → `done`, for a backup that was good and whose removal has not begun.
pub async fn undelete_backup(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
) -> Result<Backup> {
    let (actor, guid) = (actor.clone(), guid.clone());
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &actor.scope, &guid)?;
            // The deleter decides under this lock.
            service_instances::lock(conn, instance.id)?;
            let backup = backups::find(conn, instance.id, id)?.ok_or(Error::BackupNotFound(id))?;
            let was_good = backup.checksum.is_some() && backup.reason_code.is_none();
            if backup.status != BackupStatus::Deleted || !was_good || backup.removal_reason.is_some() {
                return Err(Error::NotUndeletable(id));
            }
            deletions::update_undeleted(conn, id)?;
            let subject = Some(format!("backup {id}"));
            audit_events::insert(conn, &actor, AuditAction::UndeleteBackup, Some(&guid), subject)?;
            backups::get(conn, id)
        })
        .await
}
