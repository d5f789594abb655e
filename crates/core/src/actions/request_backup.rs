//! Records the wish for a backup: the row and its job in one transaction.

use std::time::Duration;

use diesel::PgConnection;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::OperationKind;
use crate::manager::{Manager, Settings};
use crate::store::{audit_events, backups, encryption_keys, service_instances};
use crate::{Error, Result, jobs};

/// All objects of the manager lie below this folder of a store: a folder per instance, named like its `backup_guid`, in
/// it one per backup.
pub(super) const STORE_PREFIX: &str = "backups";

/// The outcome of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestedBackup {
    /// The backup that stands for the request.
    pub id: BackupId,
    /// False when the `Idempotency-Key` was known already.
    pub is_new: bool,
}

/// Records an on-demand backup of an instance. With an `idempotency_key` that was used for the same instance in the
/// last 24 hours, nothing new is recorded.
pub async fn request_backup(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    idempotency_key: Option<String>,
) -> Result<RequestedBackup> {
    let (settings, actor, guid) = (manager.settings(), actor.clone(), guid.clone());
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::lock_visible(conn, &actor.scope, &guid)?;
            if instance.deleted_at.is_some() {
                return Err(Error::InstanceDeleted(guid.to_string()));
            }
            if let Some(key) = &idempotency_key
                && let Some(known) = backups::find_idempotent(conn, instance.id, key)?
            {
                return Ok(RequestedBackup { id: known, is_new: false });
            }
            let mut new = new_backup(conn, &settings, &instance)?;
            new.idempotency_key = idempotency_key;
            let id = backups::insert(conn, &new)?;
            let job =
                jobs::start_operation(OperationKind::Backup, id.0, false, Duration::ZERO, &settings.policy);
            backup_queue::enqueue(conn, &job)?;
            let subject = Some(format!("backup {id}"));
            audit_events::insert(conn, &actor, AuditAction::RequestBackup, Some(&guid), subject)?;
            Ok(RequestedBackup { id, is_new: true })
        })
        .await
}

/// Names a new backup of a locked instance. An instance without a key (its first sight was interrupted) gets one.
fn new_backup(
    conn: &mut PgConnection,
    settings: &Settings,
    instance: &ServiceInstance,
) -> Result<backups::NewBackup> {
    let precedents = backups::precedents(conn, instance.id)?;
    let encryption_key = match precedents.current_key {
        Some(key) => key,
        None => {
            let key = crate::domain::cipher::generate_instance_key();
            encryption_keys::insert_current(
                conn,
                &settings.key_ring,
                instance.id,
                &instance.guid,
                &key,
                false,
            )?
        }
    };
    Ok(backups::NewBackup {
        instance: instance.id,
        backup_id: name(&instance.backup_guid, precedents.name_millis),
        is_scheduled: false,
        encryption_key,
        store: instance.store.clone(),
        object_prefix: object_prefix(&instance.backup_guid)?,
        idempotency_key: None,
    })
}

/// The name of a backup towards agents and in stores.
pub(super) fn name(backup_guid: &str, millis: i64) -> String {
    format!("{backup_guid}-{millis}")
}

/// The folder of an instance's backups.
pub(super) fn object_prefix(backup_guid: &str) -> Result<String> {
    backup_objects::object_prefix(STORE_PREFIX, backup_guid)
        .map_err(|error| Error::Internal(error.to_string()))
}
