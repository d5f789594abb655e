//! The objects a fake backup leaves in the local store: parts of random-looking bytes and a true `metadata.json`.

use std::path::{Path, PathBuf};

use backup_objects::{BackupFolder, DriverInfo, FORMAT_VERSION, METADATA_NAME, Metadata};
use backup_protocol::{Part, StartBackup};
use chrono::Utc;
use sha2::{Digest, Sha256};

use super::plan::Lie;

/// What was (or is claimed to be) stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    pub(super) parts: Vec<Part>,
    pub(super) checksum: String,
}

/// Writes a backup of `size` bytes in two parts, or what the lie leaves of it.
pub(super) fn write(store: &Path, id: &str, start: &StartBackup, size: u64, lie: Option<Lie>) -> Stored {
    let content = content(id, size);
    let (first, second) = content.split_at(content.len() / 2);
    let mut whole = Sha256::new();
    let mut parts = Vec::new();
    for (number, bytes) in (1..).zip([first, second]) {
        whole.update(bytes);
        parts.push(Part {
            name: BackupFolder::part_name(number),
            size: u64::try_from(bytes.len()).expect("a length"),
            sha256: hex::encode(Sha256::digest(bytes)),
        });
    }
    let stored = Stored { parts, checksum: hex::encode(whole.finalize()) };
    let folder = folder(store, start, id);
    if lie == Some(Lie::NothingStored) || lie == Some(Lie::Empty) {
        return stored;
    }
    std::fs::create_dir_all(&folder).expect("the store's directory is writable");
    std::fs::write(folder.join("data.00001"), first).expect("a part is written");
    let short = usize::from(lie == Some(Lie::ShorterThanClaimed));
    std::fs::write(folder.join("data.00002"), &second[..second.len() - short]).expect("a part is written");
    if lie != Some(Lie::NoMetadata) {
        let metadata = metadata(id, start, size, &stored).to_bytes().expect("metadata is JSON");
        std::fs::write(folder.join(METADATA_NAME), metadata).expect("the metadata is written");
    }
    stored
}

/// Removes what a cancelled backup left.
pub(super) fn remove(store: &Path, id: &str, start: &StartBackup) {
    drop(std::fs::remove_dir_all(folder(store, start, id)));
}

/// Tells whether a restore of this backup finds its metadata.
pub(super) fn exist(store: &Path, object_prefix: &str, backup_id: &str) -> bool {
    store.join(object_prefix).join(backup_id).join(METADATA_NAME).is_file()
}

fn folder(store: &Path, start: &StartBackup, id: &str) -> PathBuf {
    store.join(&start.object_prefix).join(id)
}

fn content(id: &str, size: u64) -> Vec<u8> {
    let size = usize::try_from(size).expect("a backup that fits into memory");
    id.bytes().cycle().take(size).collect()
}

/// As the form that was asked for says.
pub(super) fn filters(start: &StartBackup) -> Vec<String> {
    vec![start.compression.scheme.name().to_owned(), start.encryption.scheme.name().to_owned()]
}

fn metadata(id: &str, start: &StartBackup, size: u64, stored: &Stored) -> Metadata {
    Metadata {
        format_version: FORMAT_VERSION,
        backup_id: id.to_owned(),
        instance: start.instance.clone(),
        parts: stored.parts.clone(),
        checksum: stored.checksum.clone(),
        size,
        plain_size: size * 3,
        filter_plugins: filters(start),
        key_id: start.encryption.key_id.clone(),
        key_envelope: start.encryption.key_envelope.clone(),
        started_at: Utc::now(),
        finished_at: Utc::now(),
        driver: DriverInfo {
            name: "fake".into(),
            stream_version: 1,
            agent_version: "fake".into(),
            data_service_version: None,
        },
    }
}
