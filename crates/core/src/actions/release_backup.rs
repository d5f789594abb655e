//! A hold is taken back before its time: retention and clients may let the backup go again.

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::hold::Hold;
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::manager::Manager;
use crate::store::{audit_events, backups, holds, service_instances};
use crate::{Error, Result};

/// Releases a backup and returns the hold that was in force; none when there was none. Owners cannot release what an
/// operator holds.
pub async fn release_backup(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
) -> Result<Option<Hold>> {
    let (actor, guid) = (actor.clone(), guid.clone());
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &actor.scope, &guid)?;
            service_instances::lock(conn, instance.id)?;
            let backup = backups::find(conn, instance.id, id)?.ok_or(Error::BackupNotFound(id))?;
            let Some(hold) = backup.hold else { return Ok(None) };
            if hold.is_operators && !actor.sees_everything() {
                return Err(Error::HoldOfOperators(id));
            }
            holds::delete(conn, id)?;
            let subject = Some(format!("backup {id}: it was held: {hold}"));
            audit_events::insert(conn, &actor, AuditAction::ReleaseBackup, Some(&guid), subject)?;
            Ok(Some(hold))
        })
        .await
}
