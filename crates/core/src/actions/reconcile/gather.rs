//! Reads what the three ledgers say of one instance. In this order: stores, journal, database. Whatever is on its way is
//! in the database first and leaves it last, except for what is removed or finished between two reads, which the second
//! look sorts out.

use std::collections::{BTreeMap, BTreeSet};

use backup_objects::{BackupFolder, Metadata, Object, Store, StoreErrorKind};
use backup_protocol::{ListedKind, ListedOperation, OperationState};
use chrono::{DateTime, Utc};

use super::gap;
use crate::Result;
use crate::actions::agent_endpoint::agent_of;
use crate::actions::request_backup::STORE_PREFIX;
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::OperationKind;
use crate::domain::reconciliation::{
    Class, Content, Description, Facts, Folder, JournalEntry, Place, Remark,
};
use crate::error::chain;
use crate::manager::Manager;
use crate::store::{self, reconciliation_facts};

/// More than any `metadata.json` takes.
const LARGEST_METADATA: u64 = 16 << 20;
const METADATA: &str = "metadata.json";

/// What was read, and what could not be.
pub(super) struct Gathered {
    pub(super) facts: Facts,
    pub(super) now: DateTime<Utc>,
    pub(super) remarks: Vec<Remark>,
}

pub(super) async fn gather(manager: &Manager, instance: &ServiceInstance) -> Result<Gathered> {
    let (id, guid) = (instance.id, instance.guid.to_string());
    let mut facts = Facts { is_deleted: instance.deleted_at.is_some(), ..Facts::default() };
    let mut remarks = Vec::new();
    let used = manager.database.transaction(move |conn| reconciliation_facts::list_places(conn, id)).await?;
    let usual = format!("{STORE_PREFIX}/{}", instance.backup_guid);
    let mut places: BTreeSet<(String, String)> = used.into_iter().collect();
    places.extend(manager.store_names().into_iter().map(|store| (store, usual.clone())));
    for (name, prefix) in places {
        let found = match manager.store(&name) {
            Ok(store) => folders_below(store, &prefix).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(folders) => facts.folders.extend(folders),
            Err(why) => {
                remarks.push(gap("store", &format!("{name}:{prefix}"), Some(guid.clone()), why));
                facts.unread_stores.insert(name);
            }
        }
    }
    match journal(manager, instance).await {
        Ok(journal) => facts.journal = Some(journal),
        Err(None) => {}
        Err(Some(remark)) => remarks.push(remark),
    }
    let names = |kind| {
        let entries = facts.journal.iter().flatten().filter(move |entry| entry.kind == kind);
        entries.map(|entry| entry.name.clone()).collect::<Vec<_>>()
    };
    let (backups, restores) = (names(OperationKind::Backup), names(OperationKind::Restore));
    let read = move |conn: &mut diesel::PgConnection| {
        fn texts(names: &[String]) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        let rows = reconciliation_facts::list_rows(conn, id)?;
        let operations =
            reconciliation_facts::list_operations(conn, id, &texts(&backups), &texts(&restores))?;
        Ok((rows, operations, store::now(conn)?))
    };
    let (rows, operations, now) = manager.database.transaction(read).await?;
    Ok(Gathered { facts: Facts { rows, operations, ..facts }, now, remarks })
}

/// The agent's journal. An error without a remark: there is no agent any more.
async fn journal(
    manager: &Manager,
    instance: &ServiceInstance,
) -> std::result::Result<Vec<JournalEntry>, Option<Remark>> {
    if instance.deleted_at.is_some() {
        return Err(None);
    }
    let guid = instance.guid.to_string();
    let missing = |why: String| Some(gap("agent", &guid, Some(guid.clone()), why));
    let agent = agent_of(&manager.settings(), instance).map_err(|error| missing(error.to_string()))?;
    match agent.client.journal(&agent.endpoint).await {
        Ok(Some(journal)) => Ok(journal.into_iter().filter_map(entry).collect()),
        Ok(None) => {
            let details = "its backup agent does not list its operations".to_owned();
            Err(Some(Remark { class: Class::Note, ..gap("journal", &guid, Some(guid.clone()), details) }))
        }
        Err(error) => Err(missing(chain(&error))),
    }
}

/// Rehearsals change nothing that could differ from the manager's records.
fn entry(listed: ListedOperation) -> Option<JournalEntry> {
    Some(JournalEntry {
        kind: match listed.kind {
            ListedKind::Backup => OperationKind::Backup,
            ListedKind::Restore => OperationKind::Restore,
            ListedKind::Rehearsal => return None,
        },
        name: listed.id,
        epoch: listed.epoch,
        is_running: listed.state == OperationState::Running,
        finished_at: listed.finished_at,
        is_cancelled: listed.state == OperationState::Cancelled,
        is_cleanup_pending: listed.cleanup_pending,
    })
}

/// The folders of backups below a prefix, with what their `metadata.json` says.
pub(super) async fn folders_below(
    store: &Store,
    prefix: &str,
) -> std::result::Result<Vec<Folder>, backup_objects::StoreError> {
    let mut by_folder: BTreeMap<String, Vec<(String, Object)>> = BTreeMap::new();
    for object in store.list(prefix).await? {
        let below = object.path.strip_prefix(prefix).unwrap_or(&object.path).trim_start_matches('/');
        let (folder, name) = below.split_once('/').unwrap_or((below, ""));
        by_folder.entry(folder.to_owned()).or_default().push((name.to_owned(), object));
    }
    let mut folders = Vec::new();
    for (backup_id, objects) in by_folder {
        let place = Place { store: store.name().to_owned(), object_prefix: prefix.to_owned(), backup_id };
        folders.extend(look_at(store, place, objects).await?);
    }
    Ok(folders)
}

/// One folder of a backup as it is now; none when nothing is in it.
pub(super) async fn folder_at(
    store: &Store,
    place: &Place,
) -> std::result::Result<Option<Folder>, backup_objects::StoreError> {
    let path = format!("{}/{}", place.object_prefix, place.backup_id);
    let name = |object: &Object| {
        object.path.strip_prefix(&path).unwrap_or(&object.path).trim_start_matches('/').to_owned()
    };
    let objects = store.list(&path).await?.into_iter().map(|object| (name(&object), object)).collect();
    look_at(store, place.clone(), objects).await
}

async fn look_at(
    store: &Store,
    place: Place,
    objects: Vec<(String, Object)>,
) -> std::result::Result<Option<Folder>, backup_objects::StoreError> {
    let Some(newest_at) = objects.iter().map(|(_, object)| object.modified_at).max() else {
        return Ok(None);
    };
    let content = match objects.iter().find(|(name, _)| name == METADATA) {
        Some((_, object)) => describe(store, &object.path).await?,
        None if objects.iter().all(|(name, _)| is_ours(name)) => Content::Partial,
        None => Content::Foreign,
    };
    let objects = objects.into_iter().map(|(name, object)| (name, object.size)).collect();
    Ok(Some(Folder { place, objects, newest_at, content }))
}

/// What an agent writes before the metadata.
fn is_ours(name: &str) -> bool {
    let number = name.strip_prefix("data.").unwrap_or_default();
    let is_log = name.strip_prefix(BackupFolder::LOG).is_some_and(|rest| rest.starts_with('/'));
    is_log || name == "owner" || (number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

async fn describe(store: &Store, path: &str) -> std::result::Result<Content, backup_objects::StoreError> {
    let bytes = match store.get_bytes(path, LARGEST_METADATA).await {
        Ok(bytes) => bytes,
        // It was removed since it was listed.
        Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(Content::Partial),
        Err(error) => return Err(error),
    };
    Ok(match Metadata::parse(&bytes) {
        Ok(metadata) => Content::Described(Description {
            instance: printable(&metadata.instance.guid),
            backup_id: printable(&metadata.backup_id),
            size: metadata.size,
            checksum: printable(&metadata.checksum),
            parts: metadata.parts.into_iter().map(|part| (printable(&part.name), part.size)).collect(),
        }),
        Err(error) => Content::Unreadable(printable(&error.to_string())),
    })
}

/// An agent wrote it, and it ends in the database and on terminals.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
