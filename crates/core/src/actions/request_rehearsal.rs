//! Records the wish for a rehearsal: the row and its job in one transaction.

use std::time::Duration;

use diesel::PgConnection;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::{BackupId, RehearsalId, ServiceInstanceGuid};
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::OperationKind;
use crate::manager::{Manager, Policy};
use crate::store::{audit_events, backups, rehearsals, service_instances};
use crate::{Error, Result, jobs};

/// Records a rehearsal of a `done` backup beside its own instance. While one of the backup is on its way, that one is
/// answered and nothing recorded.
pub async fn request_rehearsal(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
) -> Result<RehearsalId> {
    let (settings, actor, guid) = (manager.settings(), actor.clone(), guid.clone());
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &actor.scope, &guid)?;
            if instance.deleted_at.is_some() {
                return Err(Error::InstanceDeleted(guid.to_string()));
            }
            // Two who ask at the same time get the same answer.
            service_instances::lock(conn, instance.id)?;
            let backup = backups::find(conn, instance.id, id)?.ok_or(Error::BackupNotFound(id))?;
            if backup.status != BackupStatus::Done {
                return Err(Error::BackupNotRestorable { id, status: backup.status.as_str() });
            }
            if let Some(known) = rehearsals::find_unfinished(conn, id)? {
                return Ok(known);
            }
            let rehearsal = record(conn, &settings.policy, &instance, id, false)?;
            let subject = Some(format!("rehearsal {rehearsal} of backup {id}"));
            audit_events::insert(conn, &actor, AuditAction::RequestRehearsal, Some(&guid), subject)?;
            Ok(rehearsal)
        })
        .await
}

/// The row and its job.
pub(super) fn record(
    conn: &mut PgConnection,
    policy: &Policy,
    instance: &ServiceInstance,
    backup: BackupId,
    is_scheduled: bool,
) -> Result<RehearsalId> {
    let name = format!("{}-rehearsal-{}", instance.backup_guid, uuid::Uuid::new_v4());
    let rehearsal = rehearsals::insert(conn, instance.id, backup, &name, is_scheduled)?;
    let kind = OperationKind::Rehearsal;
    let job = jobs::start_operation(kind, rehearsal.0, is_scheduled, Duration::ZERO, policy);
    backup_queue::enqueue(conn, &job)?;
    Ok(rehearsal)
}
