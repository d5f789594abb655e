//! Backups that no agent would make.

use std::fs;

use backup_objects::{DriverInfo, FORMAT_VERSION, Metadata};
use backup_protocol::{InstanceRef, OperationStatus, Part};
use sha2::{Digest, Sha256};

use super::{KEY, Site};

/// The driver's stream of a stored backup of one part.
pub(crate) fn archive(site: &Site, backup: &str) -> Vec<u8> {
    let stored = fs::read(site.part(backup, 1)).unwrap();
    let identity = age::scrypt::Identity::new(KEY.to_owned().into());
    let decryptor = age::Decryptor::new(stored.as_slice()).unwrap();
    let decrypted = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).unwrap();
    zstd::decode_all(decrypted).unwrap()
}

/// Stores a backup, named `forged`, whose archive was not made by the agent.
pub(crate) fn forge(site: &Site, driver: &str, stream_version: u32, archive: &[u8]) -> OperationStatus {
    let mut recipient = age::scrypt::Recipient::new(KEY.to_owned().into());
    recipient.set_work_factor(2);
    let encryptor =
        age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
    let mut stored = Vec::new();
    let mut writer = encryptor.wrap_output(&mut stored).unwrap();
    std::io::Write::write_all(&mut writer, &zstd::encode_all(archive, 1).unwrap()).unwrap();
    writer.finish().unwrap();
    let digest = hex::encode(Sha256::digest(&stored));
    let size = u64::try_from(stored.len()).unwrap();
    let now = chrono::Utc::now();
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        backup_id: "forged".to_owned(),
        instance: InstanceRef { guid: "g".to_owned(), data_service: driver.to_owned(), plan_guid: None },
        parts: vec![Part { name: "data.00001".to_owned(), size, sha256: digest.clone() }],
        checksum: digest.clone(),
        size,
        plain_size: u64::try_from(archive.len()).unwrap(),
        filter_plugins: vec!["zstd".to_owned(), "age".to_owned()],
        key_id: "key-1".to_owned(),
        key_envelope: None,
        started_at: now,
        finished_at: now,
        driver: DriverInfo {
            name: driver.to_owned(),
            stream_version,
            agent_version: "0".to_owned(),
            data_service_version: None,
        },
    };
    let part = site.part("forged", 1);
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, stored).unwrap();
    fs::write(part.with_file_name("metadata.json"), metadata.to_bytes().unwrap()).unwrap();
    let status = serde_json::json!({
        "id": "forged", "epoch": 1, "state": "done", "started_at": now, "checksum": digest,
    });
    serde_json::from_value(status).unwrap()
}
