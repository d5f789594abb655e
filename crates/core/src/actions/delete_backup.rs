//! A client deletes a backup: it is removed at once, from the store first.

use backup_objects::BackupFolder;
use backup_queue::Lease;
use diesel::PgConnection;

use super::agent_endpoint::confirm_stopped;
use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::backup::{Backup, BackupStatus};
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::manager::Manager;
use crate::store::{audit_events, backups, deletions, service_instances};
use crate::{Error, Result};

/// Marks the backup, removes its objects, and removes the row once the store has confirmed that they are gone. When
/// the store does not, the backup stays `deleted` with the reason, and the deleter tries again. What a failed backup's
/// agent may still be writing is not deleted before the agent has confirmed that it stopped.
pub async fn delete_backup(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
) -> Result<()> {
    let found = super::inspect::backup(manager, guid, id).await?;
    if found.has_remains {
        confirm_stopped(manager, &found).await?;
    }
    let (owner, requester) = (guid.clone(), actor.clone());
    let backup = manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &requester.scope, &owner)?;
            // The deleter decides under this lock.
            service_instances::lock(conn, instance.id)?;
            let backup = backups::find(conn, instance.id, id)?.ok_or(Error::BackupNotFound(id))?;
            if matches!(backup.status, BackupStatus::Queued | BackupStatus::Running) {
                return Err(Error::BackupUnfinished(id));
            }
            deletions::update_marked(conn, id)?;
            deletions::update_remove_at_once(conn, id)?;
            let subject = Some(format!("backup {id}"));
            audit_events::insert(conn, &requester, AuditAction::DeleteBackup, Some(&owner), subject)?;
            Ok(backup)
        })
        .await?;
    remove_objects(manager, &backup, None).await?;
    let (owner, actor) = (guid.clone(), actor.clone());
    manager
        .database
        .transaction(move |conn| remove_row(conn, &actor, &owner, id, "its removal was requested"))
        .await
}

/// Removes the row of a backup whose objects are gone, unless somebody else has done it meanwhile.
pub(super) fn remove_row(
    conn: &mut PgConnection,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
    reason: &str,
) -> Result<()> {
    if deletions::delete(conn, id)? {
        let subject = Some(format!("backup {id}: {reason}"));
        audit_events::insert(conn, actor, AuditAction::RemoveBackup, Some(guid), subject)?;
    }
    Ok(())
}

/// Removes the objects of a backup; a failure is recorded in its row and returned.
pub(super) async fn remove_objects(manager: &Manager, backup: &Backup, lease: Option<&Lease>) -> Result<()> {
    let removed = async {
        let folder = BackupFolder::parse(&backup.object_prefix, &backup.backup_id)
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(manager.store(&backup.store)?.delete_prefix(folder.path()).await?)
    };
    let result: Result<()> = removed.await;
    if let Err(error) = &result {
        note_removal_error(manager, backup, lease, error.chain()).await?;
    }
    result
}

/// Records why a removal failed, under the lease if a job does it.
pub(super) async fn note_removal_error(
    manager: &Manager,
    backup: &Backup,
    lease: Option<&Lease>,
    text: String,
) -> Result<()> {
    let (id, lease) = (backup.id, lease.cloned());
    manager
        .database
        .transaction(move |conn| {
            if let Some(lease) = &lease {
                lease.confirm(conn)?;
            }
            deletions::update_removal_error(conn, id, &text)
        })
        .await
}
