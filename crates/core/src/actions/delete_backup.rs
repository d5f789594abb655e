//! A client deletes a backup: it is removed at once, from the store first.

use super::agent_endpoint::confirm_stopped;
use super::deletion::{carry_out, gate};
use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::deletion::{Cause, DeletionReason, Refusal};
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
    let (settings, owner, requester) = (manager.settings(), guid.clone(), actor.clone());
    let (backup, permit) = manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &requester.scope, &owner)?;
            // The deleter decides under this lock.
            let instance = service_instances::lock(conn, instance.id)?;
            let backup = backups::find(conn, instance.id, id)?.ok_or(Error::BackupNotFound(id))?;
            // It has failed since it was looked at: its agent, which may still be writing, was not asked.
            if backup.has_remains && !found.has_remains {
                return Err(Error::BackupUnfinished(id));
            }
            let permit = gate(conn, &settings.policy, &instance)?.ask(Cause::Client, id).map_err(refused)?;
            deletions::begin(conn, &permit)?;
            let subject = Some(format!("backup {id}"));
            audit_events::insert(conn, &requester, AuditAction::DeleteBackup, Some(&owner), subject)?;
            Ok((backup, permit))
        })
        .await?;
    carry_out(manager, actor, guid, &backup, permit, None).await
}

/// The gate's refusal in the words of the API.
fn refused(refusal: Refusal) -> Error {
    let id = refusal.backup;
    match refusal.reason {
        DeletionReason::Unknown => Error::BackupNotFound(id),
        DeletionReason::Unfinished => Error::BackupUnfinished(id),
        DeletionReason::UsedByRestore | DeletionReason::UsedByRehearsal => Error::BackupInUse,
        DeletionReason::Held(hold) => Error::BackupHeld { id, hold: hold.to_string() },
        DeletionReason::Needed { newer, required } => Error::BackupNeeded { id, newer, required },
        other => Error::Internal(format!("the deletion of backup {id} was refused: {other}")),
    }
}
