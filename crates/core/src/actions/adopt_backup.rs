//! Gives a backup that lies complete in its store a row: after the loss of the database, or of a part of it. A backup is
//! looked at first ([`examine`]), without the database, and then adopted in one transaction ([`adopt`]).

use std::collections::HashMap;

use backup_objects::{BackupFolder, Metadata, Store, StoreErrorKind};
use chrono::{DateTime, Utc};
use diesel::PgConnection;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::catalogue::{FindingOutcome, Obstacle};
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::domain::instance::ServiceInstance;
use crate::domain::key_envelope::{EnvelopeError, InstanceFacts, KeyEnvelope};
use crate::manager::{Broker, Manager, Settings};
use crate::store::{self, adoptions, audit_events, service_brokers, service_instances};
use crate::{Error, Result};

/// More than any `metadata.json` takes.
const LARGEST_METADATA: u64 = 16 << 20;

/// A complete backup in a store, with what is needed to make a row of it.
#[derive(Debug, Clone)]
pub struct StoredBackup {
    /// Name of the store.
    pub store: String,
    /// The folder it lies in, without its own name.
    pub object_prefix: String,
    /// The last piece of `object_prefix`, and the first of its name.
    pub backup_guid: String,
    /// Whose backup.
    pub guid: ServiceInstanceGuid,
    /// Its `metadata.json`.
    pub metadata: Metadata,
    /// What was sealed beside it.
    pub envelope: KeyEnvelope,
}

/// What became of a backup that was to be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// It has this row now.
    Adopted(BackupId),
    /// It had a row already.
    Known,
    /// It cannot have one.
    Refused(Obstacle),
}

/// Looks at the folder of a backup: its metadata, the size of each part, its key. Reads no part.
///
/// Ask whether it has a row *before*, not after: a backup whose removal ends meanwhile has lost its objects before its row.
///
/// # Errors
/// Only when the store could not be asked; what is wrong with the folder is an [`Obstacle`].
pub async fn examine(
    manager: &Manager,
    store: &str,
    object_prefix: &str,
    backup_id: &str,
) -> Result<std::result::Result<StoredBackup, Obstacle>> {
    let opened = manager.store(store)?;
    let placed = place(object_prefix, backup_id);
    let Some((folder, backup_guid)) = placed else {
        let detail = "the folder's name is not the folder above it and a number";
        return Ok(Err(Obstacle::new(FindingOutcome::Misplaced, detail)));
    };
    let metadata = match read_metadata(opened, &folder, backup_id).await? {
        Ok(metadata) => metadata,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    let guid = match check(&metadata) {
        Ok(guid) => guid,
        Err(detail) => return Ok(Err(Obstacle::new(FindingOutcome::Unreadable, detail))),
    };
    if let Some(detail) = missing_part(opened, &folder, &metadata).await? {
        return Ok(Err(Obstacle::new(FindingOutcome::Damaged, detail).of(guid.as_str())));
    }
    let envelope = match open_envelope(manager, &metadata, &guid) {
        Ok(envelope) => envelope,
        Err(obstacle) => return Ok(Err(obstacle.of(guid.as_str()))),
    };
    let (store, object_prefix) = (store.to_owned(), object_prefix.to_owned());
    Ok(Ok(StoredBackup { store, object_prefix, backup_guid, guid, metadata, envelope }))
}

/// The folder, if it is where the manager puts backups: `…/<backup_guid>/<backup_guid>-<number>`.
fn place(object_prefix: &str, backup_id: &str) -> Option<(BackupFolder, String)> {
    let folder = BackupFolder::parse(object_prefix, backup_id).ok()?;
    let backup_guid = object_prefix.rsplit('/').next()?;
    let number = backup_id.strip_prefix(backup_guid)?.strip_prefix('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (folder, backup_guid.to_owned()))
}

async fn read_metadata(
    store: &Store,
    folder: &BackupFolder,
    backup_id: &str,
) -> Result<std::result::Result<Metadata, Obstacle>> {
    let bytes = match store.get_bytes(&folder.metadata(), LARGEST_METADATA).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == StoreErrorKind::NotFound => {
            let detail = "it has no metadata.json";
            return Ok(Err(Obstacle::new(FindingOutcome::Incomplete, detail)));
        }
        Err(error) if error.is_retryable() => return Err(error.into()),
        Err(error) => return Ok(Err(Obstacle::new(FindingOutcome::Unreadable, error.to_string()))),
    };
    Ok(match Metadata::parse(&bytes) {
        Ok(metadata) if metadata.backup_id == backup_id => Ok(metadata),
        Ok(_) => Err(Obstacle::new(FindingOutcome::Misplaced, "metadata.json is that of another backup")),
        Err(error) => Err(Obstacle::new(FindingOutcome::Unreadable, error.to_string())),
    })
}

/// An agent wrote it: what goes into the database is looked at.
fn check(metadata: &Metadata) -> std::result::Result<ServiceInstanceGuid, &'static str> {
    let is_digest = metadata.checksum.len() == 64 && metadata.checksum.bytes().all(|b| b.is_ascii_hexdigit());
    let is_plain = |text: &String| (1..=64).contains(&text.len()) && !text.chars().any(char::is_control);
    if !is_digest {
        return Err("metadata.json has no usable checksum");
    }
    if metadata.size == 0 || [metadata.size, metadata.plain_size].iter().any(|n| i64::try_from(*n).is_err()) {
        return Err("metadata.json has impossible sizes");
    }
    if metadata.filter_plugins.len() > 16 || !metadata.filter_plugins.iter().all(is_plain) {
        return Err("metadata.json has impossible filters");
    }
    ServiceInstanceGuid::parse(&metadata.instance.guid).ok_or("metadata.json names no usable instance")
}

/// What is wrong with the first part that is not there as it should be.
async fn missing_part(store: &Store, folder: &BackupFolder, metadata: &Metadata) -> Result<Option<String>> {
    let stored: HashMap<String, u64> =
        store.list(folder.path()).await?.into_iter().map(|object| (object.path, object.size)).collect();
    Ok(metadata.parts.iter().find_map(|part| {
        let Ok(path) = folder.part(&part.name) else {
            return Some("metadata.json names a part that cannot be one".to_owned());
        };
        match stored.get(&path) {
            None => Some(format!("{} is missing", part.name)),
            Some(size) if *size != part.size => {
                Some(format!("{} has {size} bytes in place of {}", part.name, part.size))
            }
            Some(_) => None,
        }
    }))
}

fn open_envelope(
    manager: &Manager,
    metadata: &Metadata,
    guid: &ServiceInstanceGuid,
) -> std::result::Result<KeyEnvelope, Obstacle> {
    let Some(text) = &metadata.key_envelope else {
        let detail = format!(
            "its agent has not copied key_envelope into metadata.json; key {} of the lost database would be needed",
            printable(&metadata.key_id)
        );
        return Err(Obstacle::new(FindingOutcome::KeyMissing, detail));
    };
    KeyEnvelope::open(text, manager.key_ring(), guid, &metadata.backup_id).map_err(|error| {
        let outcome = match &error {
            EnvelopeError::UnknownKey(_) => FindingOutcome::KeyUnavailable,
            EnvelopeError::UnknownFormat | EnvelopeError::Refused(_) => FindingOutcome::KeyRefused,
        };
        Obstacle::new(outcome, printable(&error.to_string()))
    })
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Makes the row of a backup that was examined, in the caller's transaction. What it stands on comes along: the instance
/// (as one deleted now, if no broker names it), the key, the folder for its next backups, and what its owner had
/// configured. A second adoption of the same backup finds the first. What a broker said before `since` is not believed: the
/// database may be an older dump, and the instance one created after it.
pub fn adopt(
    conn: &mut PgConnection,
    settings: &Settings,
    found: &StoredBackup,
    since: DateTime<Utc>,
) -> Result<Adoption> {
    let instance = match instance_of(conn, settings, found, since)? {
        Ok(instance) => instance,
        Err(obstacle) => return Ok(Adoption::Refused(obstacle.of(found.guid.as_str()))),
    };
    let name = &found.metadata.backup_id;
    // Under the lock of the instance, so that two who adopt the same come one after the other.
    if !adoptions::list_known(conn, std::slice::from_ref(name))?.is_empty() {
        return Ok(Adoption::Known);
    }
    let (envelope, triggered_at) = (&found.envelope, found.envelope.triggered_at);
    if instance.data_service != envelope.instance.data_service {
        let detail = format!(
            "the instance is one of {} now, the backup one of {}",
            instance.data_service, envelope.instance.data_service
        );
        let obstacle = Obstacle::new(FindingOutcome::OtherDataService, detail);
        return Ok(Adoption::Refused(obstacle.of(found.guid.as_str())));
    }
    take_over(conn, &instance, found)?;
    let (key, is_own) = (&envelope.key, envelope.is_own_key);
    let key = adoptions::find_or_insert_key(conn, &settings.key_ring, &instance, key, is_own, triggered_at)?;
    adoptions::update_current_key(conn, instance.id, key, is_own, triggered_at)?;
    let now = store::now(conn)?;
    // The agent's clock is not trusted with the future.
    let within = |at: DateTime<Utc>| at.max(triggered_at).min(now.max(triggered_at));
    let row = adoptions::AdoptedBackup {
        instance: instance.id,
        backup_id: name,
        is_scheduled: envelope.is_scheduled,
        encryption_key: key,
        store: &found.store,
        object_prefix: &found.object_prefix,
        size: number(found.metadata.size)?,
        checksum: &found.metadata.checksum,
        filter_plugins: &found.metadata.filter_plugins,
        bytes_processed: number(found.metadata.plain_size)?,
        triggered_at,
        started_at: within(found.metadata.started_at),
        finished_at: within(found.metadata.finished_at),
    };
    let id = adoptions::insert(conn, &row)?;
    adoptions::update_last_done(conn, instance.id, row.finished_at)?;
    let subject = Some(format!("backup {id}: found in the store {}", found.store));
    let actor = Actor::worker();
    audit_events::insert(conn, &actor, AuditAction::AdoptBackup, Some(&found.guid), subject)?;
    Ok(Adoption::Adopted(id))
}

fn number(count: u64) -> Result<i64> {
    i64::try_from(count).map_err(|_| Error::Internal("a checked size is out of range".into()))
}

/// The instance, locked: the one that is known, or a new row for one that no broker names any more.
fn instance_of(
    conn: &mut PgConnection,
    settings: &Settings,
    found: &StoredBackup,
    since: DateTime<Utc>,
) -> Result<std::result::Result<ServiceInstance, Obstacle>> {
    let guid = &found.guid;
    match service_instances::get(conn, guid) {
        Ok(known) => return service_instances::lock(conn, known.id).map(Ok),
        Err(Error::InstanceNotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let facts = &found.envelope.instance;
    let Some(broker) = broker_of(settings, facts, &found.store) else {
        let detail = format!(
            "its instance is unknown, and no configured service broker is {:?} or the only one of {} in this store",
            facts.service_broker, facts.data_service
        );
        return Ok(Err(Obstacle::new(FindingOutcome::BrokerUnknown, detail)));
    };
    // Before the instance, as the synchronisation does; while it is locked, no listing is written.
    let record = service_brokers::lock(conn, &broker.name)?;
    if !record.is_synchronised_since(since) {
        let detail = format!(
            "its instance is unknown, and the service broker {} could not be asked whether it exists",
            broker.name
        );
        return Ok(Err(Obstacle::new(FindingOutcome::BrokerUnavailable, detail)));
    }
    let backup_guid = match adoptions::is_backup_guid_taken(conn, &found.backup_guid)? {
        true => uuid::Uuid::new_v4().to_string(),
        false => found.backup_guid.clone(),
    };
    adoptions::insert_deleted_instance(conn, guid, record.id, &broker.store, &backup_guid, facts)?;
    let inserted = service_instances::get(conn, guid)?;
    service_instances::lock(conn, inserted.id).map(Ok)
}

/// The broker that provisioned it, if it still has its name; else the only one it can have been.
fn broker_of<'a>(settings: &'a Settings, facts: &InstanceFacts, store: &str) -> Option<&'a Broker> {
    let mut fitting = settings.brokers.iter().filter(|broker| broker.data_service == facts.data_service);
    if let Some(broker) = fitting.clone().find(|broker| broker.name == facts.service_broker) {
        return Some(broker);
    }
    let mut fitting = fitting.by_ref().filter(|broker| broker.store == store);
    fitting.next().filter(|_| fitting.next().is_none())
}

/// What the instance had before the loss, as far as nobody has decided otherwise since.
fn take_over(conn: &mut PgConnection, instance: &ServiceInstance, found: &StoredBackup) -> Result<()> {
    if instance.backup_guid != found.backup_guid
        && !adoptions::has_backups_in_its_folder(conn, instance)?
        && !adoptions::is_backup_guid_taken(conn, &found.backup_guid)?
    {
        adoptions::update_backup_guid(conn, instance.id, &found.backup_guid)?;
    }
    let triggered_at = found.envelope.triggered_at;
    if adoptions::has_later_adopted(conn, instance.id, triggered_at)? {
        return Ok(());
    }
    adoptions::update_facts(conn, instance.id, &found.envelope.instance)?;
    if !audit_events::is_later_than(conn, AuditAction::ConfigureInstance, &found.guid, triggered_at)? {
        adoptions::update_configuration(conn, instance.id, &found.envelope.instance)?;
    }
    Ok(())
}
