//! What a simulated backup leaves in the store: one small part and a true `metadata.json`.

use std::path::Path;

use backup_objects::{BackupFolder, DriverInfo, FORMAT_VERSION, METADATA_NAME, Metadata};
use backup_protocol::{Part, StartBackup};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// What was stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) part: Part,
    pub(super) filters: Vec<String>,
}

/// Writes both objects.
pub(super) fn write(
    store: &Path,
    id: &str,
    start: &StartBackup,
    began: DateTime<Utc>,
) -> anyhow::Result<Stored> {
    let content = id.repeat(8);
    let sha256 = hex::encode(Sha256::digest(content.as_bytes()));
    let size = u64::try_from(content.len())?;
    let part = Part { name: BackupFolder::part_name(1), size, sha256: sha256.clone() };
    let filters = vec![start.compression.scheme.name().to_owned(), start.encryption.scheme.name().to_owned()];
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        backup_id: id.to_owned(),
        instance: start.instance.clone(),
        parts: vec![part.clone()],
        checksum: sha256,
        size,
        plain_size: size.saturating_mul(3),
        filter_plugins: filters.clone(),
        key_id: start.encryption.key_id.clone(),
        key_envelope: start.encryption.key_envelope.clone(),
        started_at: began,
        finished_at: Utc::now(),
        driver: DriverInfo {
            name: "simulated".to_owned(),
            stream_version: 1,
            agent_version: "simulated".to_owned(),
            data_service_version: None,
        },
    };
    let folder = store.join(BackupFolder::parse(&start.object_prefix, id)?.path());
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(&part.name), content)?;
    std::fs::write(folder.join(METADATA_NAME), metadata.to_bytes()?)?;
    Ok(Stored { part, filters })
}
