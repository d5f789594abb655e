//! The one way out for a backup: facts read under the instance's lock, the gate's word on them, and what it permits
//! carried out step by step. Nothing else in the manager deletes objects or rows of backups.

use std::collections::HashSet;

use backup_objects::{BackupFolder, Store};
use backup_queue::Lease;
use diesel::PgConnection;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::backup::Backup;
use crate::domain::deletion::{DeletionRule, Gate, OrphanPermit, Permit, Step};
use crate::domain::identifiers::ServiceInstanceGuid;
use crate::domain::instance::ServiceInstance;
use crate::manager::{Manager, Policy};
use crate::store::{self, audit_events, deletion_facts, deletions};
use crate::{Error, Result};

/// The gate of an instance at this moment, by the database's clock. To act on its word, hold the instance's lock.
pub(super) fn gate(conn: &mut PgConnection, policy: &Policy, instance: &ServiceInstance) -> Result<Gate> {
    let facts = deletion_facts::list(conn, instance.id)?;
    Ok(Gate::new(rule(policy, instance), facts, store::now(conn)?))
}

pub(super) fn rule(policy: &Policy, instance: &ServiceInstance) -> DeletionRule {
    DeletionRule {
        deleted_at: instance.deleted_at,
        min_backup_count: instance.min_backup_count.unwrap_or(policy.min_backup_count),
        retention_days: instance.retention_days.unwrap_or(policy.retention_days),
        deleted_retention_days: policy.deleted_retention_days,
        undo_window: policy.undo_window,
        promises_moments: instance.backup_type.is_some(),
        clients_may_go_below_minimum: policy.allow_client_deletion_below_minimum,
    }
}

/// Marks all that is permitted to be marked, with as many statements as for one, in the transaction in which the gate was asked.
pub(super) fn mark_all(
    conn: &mut PgConnection,
    guid: &ServiceInstanceGuid,
    permits: &[Permit],
) -> Result<()> {
    let marked: HashSet<_> = deletions::mark(conn, permits)?.into_iter().collect();
    let is_marked = |permit: &&Permit| marked.contains(&permit.backup());
    let events: Vec<_> = permits.iter().filter(is_marked).map(|permit| (guid, subject(permit))).collect();
    tracing::info!(service_instance.guid = %guid, backups = events.len(), "marked for removal");
    audit_events::insert_many(conn, &Actor::worker(), AuditAction::MarkBackup, &events)
}

/// Removes the objects of what was begun and, once the store has confirmed that they are gone, writes it down; under the lease if a job
/// does it. When the store does not confirm, the reason is recorded in the backup's row, and it is to be tried again.
pub(super) async fn carry_out(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    backup: &Backup,
    permit: Permit,
    lease: Option<&Lease>,
) -> Result<()> {
    if let Err(error) = remove_objects(manager, backup, &permit).await {
        note_removal_error(manager, backup, lease, error.chain()).await?;
        return Err(error);
    }
    let (actor, guid, lease) = (actor.clone(), guid.clone(), lease.cloned());
    manager
        .database
        .transaction(move |conn| {
            if let Some(lease) = &lease {
                lease.confirm(conn)?;
            }
            match deletions::finish(conn, &permit)? {
                true => record(conn, &actor, &guid, &permit),
                // Somebody else has done it meanwhile.
                false => Ok(()),
            }
        })
        .await
}

/// Removes the objects of a folder that no row names; there is nothing to write down about them but what the caller
/// says in the audit trail.
#[expect(clippy::disallowed_methods, reason = "the gate has permitted it")]
pub(super) async fn remove_orphan(store: &Store, permit: &OrphanPermit) -> Result<()> {
    Ok(store.delete_prefix(permit.folder()).await?)
}

#[expect(clippy::disallowed_methods, reason = "the gate has permitted it")]
async fn remove_objects(manager: &Manager, backup: &Backup, permit: &Permit) -> Result<()> {
    if permit.step() == Step::Mark || permit.backup() != backup.id {
        return Err(Error::Internal(format!("no objects of backup {} may be removed", backup.id)));
    }
    let folder = BackupFolder::parse(&backup.object_prefix, &backup.backup_id)
        .map_err(|error| Error::Internal(error.to_string()))?;
    Ok(manager.store(&backup.store)?.delete_prefix(folder.path()).await?)
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

/// What was done, with the reason that the dry run showed.
fn record(conn: &mut PgConnection, actor: &Actor, guid: &ServiceInstanceGuid, permit: &Permit) -> Result<()> {
    let (action, done) = match permit.step() {
        Step::Mark => (AuditAction::MarkBackup, "marked for removal"),
        Step::Remove => (AuditAction::RemoveBackup, "removed"),
        Step::CleanUp => (AuditAction::CleanUpBackup, "removed from the store"),
    };
    let (id, reason) = (permit.backup(), permit.reason());
    tracing::info!(service_instance.guid = %guid, backup.id = id.0, "{done}: {reason}");
    audit_events::insert(conn, actor, action, Some(guid), Some(subject(permit)))
}

/// Which backup, and the reason that the dry run showed.
fn subject(permit: &Permit) -> String {
    format!("backup {}: {}", permit.backup(), permit.reason())
}
