//! Records the wish to cancel. The job that starts or watches the operation carries it out, so the wish survives
//! any crash.

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::identifiers::{BackupId, RehearsalId, RestoreId, ServiceInstanceGuid};
use crate::domain::operation::OperationKind;
use crate::manager::Manager;
use crate::store::{audit_events, backups, operations, rehearsals, restores, service_instances};
use crate::{Error, Result, jobs};

/// Asks for the cancellation of a queued or running backup.
pub async fn cancel_backup(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
) -> Result<()> {
    cancel(manager, actor, guid, OperationKind::Backup, id.0).await
}

/// Asks for the cancellation of a queued or running restore.
pub async fn cancel_restore(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: RestoreId,
) -> Result<()> {
    cancel(manager, actor, guid, OperationKind::Restore, id.0).await
}

/// Asks for the cancellation of a queued or running rehearsal.
pub async fn cancel_rehearsal(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: RehearsalId,
) -> Result<()> {
    cancel(manager, actor, guid, OperationKind::Rehearsal, id.0).await
}

async fn cancel(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    kind: OperationKind,
    id: i64,
) -> Result<()> {
    let (actor, guid) = (actor.clone(), guid.clone());
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &actor.scope, &guid)?;
            let is_known = match kind {
                OperationKind::Backup => backups::find(conn, instance.id, BackupId(id))?.is_some(),
                OperationKind::Restore => restores::find(conn, instance.id, RestoreId(id))?.is_some(),
                OperationKind::Rehearsal => rehearsals::find(conn, instance.id, RehearsalId(id))?.is_some(),
            };
            let not_found = || match kind {
                OperationKind::Backup => Error::BackupNotFound(BackupId(id)),
                OperationKind::Restore => Error::RestoreNotFound(RestoreId(id)),
                OperationKind::Rehearsal => Error::RehearsalNotFound(RehearsalId(id)),
            };
            if !is_known {
                return Err(not_found());
            }
            // Jobs before the operation, as every handler locks them: in the other order, the two would wait for each
            // other. A refusal below takes this back.
            backup_queue::run_now(conn, &jobs::start_key(kind, id))?;
            backup_queue::run_now(conn, &jobs::check_key(kind, id))?;
            let operation = operations::lock(conn, kind, id)?.ok_or_else(not_found)?;
            if !matches!(operation.status.as_str(), "queued" | "running") {
                return Err(Error::NotCancellable(operation.status));
            }
            operations::update_cancel_requested(conn, kind, id)?;
            // The second wish changes nothing.
            if operation.cancel_requested_at.is_some() {
                return Ok(());
            }
            let action = match kind {
                OperationKind::Backup => AuditAction::CancelBackup,
                OperationKind::Restore => AuditAction::CancelRestore,
                OperationKind::Rehearsal => AuditAction::CancelRehearsal,
            };
            audit_events::insert(conn, &actor, action, Some(&guid), Some(format!("{} {id}", kind.as_str())))
        })
        .await
}
