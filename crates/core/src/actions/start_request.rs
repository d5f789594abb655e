//! What an agent is told to do: the body of the request that starts an operation.

use backup_protocol::{Encryption, InstanceRef, StartBackup, StartRehearsal, StartRestore};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use secrecy::ExposeSecret;

use crate::domain::backup::Backup;
use crate::domain::identifiers::{BackupId, RehearsalId, RestoreId};
use crate::domain::instance::ServiceInstance;
use crate::domain::key_envelope::KeyEnvelope;
use crate::domain::operation::{Operation, OperationKind};
use crate::domain::stored_form::{StoredForm, encryption_of};
use crate::manager::Settings;
use crate::store::{backups, encryption_keys, pitr, rehearsals, restores, service_instances};
use crate::{Error, Result};

/// A request to start.
pub(super) enum Request {
    Backup(StartBackup),
    Restore(StartRestore),
    Rehearsal(StartRehearsal),
}

impl Request {
    /// Fills in what is fixed by the dispatch.
    pub(super) fn fix(&mut self, (newest, until): (i64, DateTime<Utc>)) {
        match self {
            Self::Backup(StartBackup { epoch, deadline, .. })
            | Self::Restore(StartRestore { epoch, deadline, .. })
            | Self::Rehearsal(StartRehearsal { epoch, deadline, .. }) => {
                (*epoch, *deadline) = (newest, until)
            }
        }
    }
}

/// The body of the request; epoch and deadline are filled in when they are fixed.
pub(super) fn request(
    conn: &mut PgConnection,
    settings: &Settings,
    operation: &Operation,
    target: &ServiceInstance,
    form: StoredForm,
) -> Result<Request> {
    let row = match operation.kind {
        OperationKind::Backup => BackupId(operation.row),
        OperationKind::Restore => restores::get(conn, RestoreId(operation.row))?.backup,
        OperationKind::Rehearsal => rehearsals::get(conn, RehearsalId(operation.row))?.backup,
    };
    let backup = backups::get(conn, row)?;
    if !settings.stores.contains_key(&backup.store) {
        return Err(Error::NotConfigured { what: "store", name: backup.store });
    }
    let owner = service_instances::get_by_id(conn, backup.instance)?;
    let key = encryption_keys::get(conn, &settings.key_ring, backup.encryption_key, &owner.guid)?;
    let encryption = Encryption {
        scheme: match operation.kind {
            OperationKind::Backup => form.encryption(),
            OperationKind::Restore | OperationKind::Rehearsal => encryption_of(&backup.filter_plugins),
        },
        key: key.expose_secret().to_owned(),
        key_id: backup.encryption_key.to_string(),
        key_envelope: None,
    };
    let no_checksum = || Error::Internal("a done backup has no checksum".into());
    let moment = match operation.kind {
        OperationKind::Backup | OperationKind::Rehearsal => None,
        OperationKind::Restore => pitr::find_target(conn, RestoreId(operation.row))?,
    };
    Ok(match operation.kind {
        OperationKind::Backup => Request::Backup(StartBackup {
            encryption: Encryption {
                key_envelope: Some(envelope(conn, settings, &backup, &owner, &encryption.key)?),
                ..encryption
            },
            epoch: operation.epoch,
            store: backup.store,
            object_prefix: backup.object_prefix,
            instance: InstanceRef {
                guid: target.guid.to_string(),
                data_service: target.data_service.clone(),
                plan_guid: target.plan_guid.clone(),
            },
            compression: form.compression(settings.policy.compression_level),
            rate_limit_bytes_per_second: None,
            deadline: operation.triggered_at,
            part_size_limit: settings.policy.part_size_limit,
            backup_type: target.backup_type.clone(),
        }),
        OperationKind::Restore => Request::Restore(StartRestore {
            epoch: operation.epoch,
            backup_id: backup.backup_id,
            store: backup.store,
            object_prefix: backup.object_prefix,
            checksum: backup.checksum.ok_or_else(no_checksum)?,
            encryption,
            deadline: operation.triggered_at,
            recovery_target_time: moment.as_ref().map(|(moment, _)| *moment),
            recovery_last_segment: moment.map(|(_, last_segment)| last_segment),
        }),
        OperationKind::Rehearsal => Request::Rehearsal(StartRehearsal {
            epoch: operation.epoch,
            backup_id: backup.backup_id,
            store: backup.store,
            object_prefix: backup.object_prefix,
            checksum: backup.checksum.ok_or_else(no_checksum)?,
            encryption,
            deadline: operation.triggered_at,
        }),
    })
}

/// What a manager that lost its database will need, sealed; the agent writes it beside the backup.
fn envelope(
    conn: &mut PgConnection,
    settings: &Settings,
    backup: &Backup,
    owner: &ServiceInstance,
    key: &str,
) -> Result<String> {
    let envelope = KeyEnvelope {
        key: key.into(),
        is_own_key: encryption_keys::is_own(conn, backup.encryption_key)?,
        is_scheduled: backup.is_scheduled,
        triggered_at: backup.triggered_at,
        instance: owner.into(),
    };
    Ok(envelope.seal(&settings.key_ring, &owner.guid, &backup.backup_id)?)
}
