//! Records the wish for a comparison of the three ledgers, with its job in one transaction, and shows how it stands.

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::identifiers::ReconciliationId;
use crate::domain::reconciliation::{Reconciliation, Remark, Scope};
use crate::manager::Manager;
use crate::store::{audit_events, reconciliations, service_instances};
use crate::{Error, Result, jobs};

/// Asks for a reconciliation. While one with the same scope is unfinished, that is the answer.
///
/// # Errors
/// [`Error::InstanceNotFound`] for an instance that is not known.
pub async fn request_reconciliation(
    manager: &Manager,
    actor: &Actor,
    scope: Scope,
) -> Result<ReconciliationId> {
    let actor = actor.clone();
    manager
        .database
        .transaction(move |conn| {
            if let Some(guid) = &scope.instance {
                service_instances::get(conn, guid)?;
            }
            if let Some(unfinished) = reconciliations::find_unfinished(conn, &scope)? {
                // Its job may be lost; while it is not, its unique key stands in the way of another.
                backup_queue::enqueue(conn, &jobs::reconcile(Some(unfinished)))?;
                return Ok(unfinished);
            }
            let id = reconciliations::insert(conn, &actor.name, &scope, None)?;
            backup_queue::enqueue(conn, &jobs::reconcile(Some(id)))?;
            let repairs = if scope.is_repair { ", with repairs" } else { "" };
            let subject = Some(format!("reconciliation {id}{repairs}"));
            let action = AuditAction::RequestReconciliation;
            audit_events::insert(conn, &actor, action, scope.instance.as_ref(), subject)?;
            Ok(id)
        })
        .await
}

/// A reconciliation; without a number the one that was asked for last.
///
/// # Errors
/// [`Error::ReconciliationNotFound`], and [`Error::NoReconciliation`] when there was none yet.
pub async fn show_reconciliation(manager: &Manager, id: Option<ReconciliationId>) -> Result<Reconciliation> {
    manager
        .database
        .transaction(move |conn| match id {
            Some(id) => reconciliations::get(conn, id),
            None => reconciliations::find_latest(conn)?.ok_or(Error::NoReconciliation),
        })
        .await
}

/// At most `limit` of what it says, behind the remark of number `after`.
pub async fn list_remarks(
    manager: &Manager,
    id: ReconciliationId,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Remark)>> {
    manager.database.transaction(move |conn| reconciliations::list_remarks(conn, id, after, limit)).await
}
