//! The store, the key and the folder of a backup, from what a person gave.

use std::collections::BTreeMap;
use std::path::Path;

use backup_daemon::config::{ConfigError, Mistake};
use backup_daemon::exit::Failure;
use backup_objects::{BackupFolder, InvalidName, Retry, Store, StoreConfig};
use serde::Deserialize;

use super::{FetchError, Place};
use crate::config::{Config, ENVIRONMENT};

/// A file for [`Place::store_config`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlyStores {
    stores: BTreeMap<String, StoreConfig>,
}

/// Opens the store that is named, or the only one there is.
pub(super) fn open_store(place: &Place) -> Result<Store, Failure> {
    let (file, stores) = match &place.store_config {
        Some(file) => (file, backup_daemon::config::load::<OnlyStores>(file, ENVIRONMENT)?.stores),
        None => (&place.config, Config::load(&place.config)?.stores),
    };
    let wanted = match (&place.store, stores.keys().next()) {
        (Some(name), _) => Some(name),
        (None, Some(only)) if stores.len() == 1 => Some(only),
        (None, _) => None,
    };
    let found = wanted.and_then(|name| stores.get_key_value(name));
    let Some((name, config)) = found else {
        let given = place.store.clone().unwrap_or_else(|| "no --store".to_owned());
        let allowed =
            format!("--store with one of {}", stores.keys().cloned().collect::<Vec<_>>().join(", "));
        let mistake = Mistake::new("stores", given, allowed);
        return Err(ConfigError::new(file.display().to_string(), vec![mistake]).into());
    };
    Store::open(name, config).map_err(Failure::bad_configuration)
}

/// The same store once it has answered. Until then somebody waits who may have mistyped an address; after it, hours of
/// work are not given up for a store that is away for minutes.
pub(super) fn patient(store: &Store) -> Store {
    store.clone().retrying(Retry::PATIENTLY)
}

/// Reads the key; a line break at the end is the editor's.
pub(super) fn read_key(file: &Path) -> Result<String, FetchError> {
    let shown = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|source| FetchError::File { path: shown.clone(), source })?;
    let key = text.trim_end_matches(['\r', '\n']);
    if key.is_empty() { Err(FetchError::NoKey(shown)) } else { Ok(key.to_owned()) }
}

/// Finds the folder of a backup below the prefix. The manager begins an id with the name of the folder above it; when
/// that leads nowhere, all are looked through.
/// `object` is what the folder must hold.
pub(super) async fn folder(
    store: &Store,
    prefix: &str,
    id: &str,
    object: impl Fn(&BackupFolder) -> Result<String, InvalidName>,
) -> Result<BackupFolder, FetchError> {
    let holds = async |store: &Store, folder: &BackupFolder| -> Result<bool, FetchError> {
        let Ok(path) = object(folder) else { return Ok(false) };
        Ok(store.size(&path).await?.is_some())
    };
    let guessed = id.rsplit_once('-').map(|(guid, _)| guid.to_owned());
    if let Some(folder) = guessed.and_then(|guid| parse(prefix, &guid, id))
        && holds(store, &folder).await?
    {
        return Ok(folder);
    }
    let guids = store.folders(prefix).await?;
    let store = patient(store);
    for guid in guids {
        if let Some(folder) = parse(prefix, &guid, id)
            && holds(&store, &folder).await?
        {
            return Ok(folder);
        }
    }
    Err(FetchError::NotFound { id: id.to_owned(), prefix: prefix.to_owned(), store: store.name().to_owned() })
}

fn parse(prefix: &str, guid: &str, id: &str) -> Option<BackupFolder> {
    BackupFolder::parse(&format!("{prefix}/{guid}"), id).ok()
}
