//! What an owner may configure of an instance.

use backup_protocol::POSTGRESQL_WAL;
use secrecy::ExposeSecret;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::identifiers::ServiceInstanceGuid;
use crate::domain::instance::{InstanceChanges, ServiceInstance};
use crate::manager::Manager;
use crate::store::{audit_events, encryption_keys, service_instances};
use crate::{Error, Result};

/// Largest `min_backup_count` and `retention_time`: a century of daily backups.
const LARGEST: i64 = 36_500;
/// Longest key, in bytes.
const LONGEST_KEY: usize = 1024;

/// Applies changes to a live instance. A new encryption key is not retroactive: earlier backups keep theirs.
pub async fn configure_instance(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    changes: InstanceChanges,
) -> Result<ServiceInstance> {
    if is_empty(&changes) {
        return Err(Error::NothingToChange);
    }
    check_bounds("min_backup_count", changes.min_backup_count)?;
    check_bounds("retention_time", changes.retention_days)?;
    if let Some(found) = changes.backup_type.clone().flatten().filter(|found| found != POSTGRESQL_WAL) {
        return Err(Error::Invalid {
            field: "backup_type",
            found,
            allowed: format!("null or {POSTGRESQL_WAL}"),
        });
    }
    let (settings, actor, guid) = (manager.settings(), actor.clone(), guid.clone());
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &actor.scope, &guid)?;
            let instance = service_instances::lock(conn, instance.id)?;
            if instance.deleted_at.is_some() {
                return Err(Error::InstanceDeleted(guid.to_string()));
            }
            let mut is_new_key = false;
            if let Some(key) = &changes.encryption_key {
                let needed =
                    instance.min_encryption_key_length.unwrap_or(settings.policy.min_encryption_key_length);
                check_key(key.expose_secret(), needed)?;
                // A client that repeats its request must not make the backups under this very key undownloadable.
                let own = encryption_keys::find_current_own(conn, &settings.key_ring, instance.id, &guid)?;
                is_new_key = own.is_none_or(|own| own.expose_secret() != key.expose_secret());
                if is_new_key {
                    encryption_keys::insert_current(conn, &settings.key_ring, instance.id, &guid, key, true)?;
                }
            }
            let fields = changed_fields(&changes, &instance, is_new_key);
            if fields.is_empty() {
                return Ok(instance);
            }
            service_instances::update_configuration(conn, instance.id, &changes)?;
            let subject = Some(format!("set {}", fields.join(", ")));
            audit_events::insert(conn, &actor, AuditAction::ConfigureInstance, Some(&guid), subject)?;
            service_instances::get(conn, &guid)
        })
        .await
}

fn is_empty(changes: &InstanceChanges) -> bool {
    changes.encryption_key.is_none()
        && changes.exclude_from_auto_backup.is_none()
        && changes.credentials_updated_by_user.is_none()
        && changes.min_backup_count.is_none()
        && changes.retention_days.is_none()
        && changes.backup_type.is_none()
}

/// Names only: values may be secret. What is given and stood there before is no change.
fn changed_fields(
    changes: &InstanceChanges,
    instance: &ServiceInstance,
    is_new_key: bool,
) -> Vec<&'static str> {
    let is_other = |new: Option<i64>, old: Option<i32>| new.is_some() && new != old.map(i64::from);
    let is_switched = |new: Option<bool>, old: bool| new.is_some_and(|new| new != old);
    [
        ("encryption_key", is_new_key),
        (
            "exclude_from_auto_backup",
            is_switched(changes.exclude_from_auto_backup, instance.exclude_from_auto_backup),
        ),
        (
            "credentials_updated_by_user",
            is_switched(changes.credentials_updated_by_user, instance.credentials_updated_by_user),
        ),
        ("min_backup_count", is_other(changes.min_backup_count, instance.min_backup_count)),
        ("retention_time", is_other(changes.retention_days, instance.retention_days)),
        ("backup_type", changes.backup_type.as_ref().is_some_and(|new| *new != instance.backup_type)),
    ]
    .into_iter()
    .filter_map(|(name, is_changed)| is_changed.then_some(name))
    .collect()
}

fn check_bounds(field: &'static str, value: Option<i64>) -> Result<()> {
    match value {
        Some(value) if !(0..=LARGEST).contains(&value) => {
            Err(Error::Invalid { field, found: value.to_string(), allowed: format!("0 to {LARGEST}") })
        }
        _ => Ok(()),
    }
}

fn check_key(key: &str, needed: i32) -> Result<()> {
    let found = key.chars().count();
    if i64::try_from(found).unwrap_or(i64::MAX) < i64::from(needed) {
        return Err(Error::EncryptionKeyTooShort { found, allowed: needed });
    }
    // A passphrase is typed into other programs one day, on one line.
    if key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
        return Err(Error::Invalid {
            field: "encryption_key",
            found: "too long or has control characters".into(),
            allowed: format!("at most {LONGEST_KEY} bytes on one line"),
        });
    }
    Ok(())
}
