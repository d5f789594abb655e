//! What is stored, and that nothing broken ever reaches the data service.

use std::io::Read;

use backup_objects::Metadata;
use backup_protocol::{OperationState, OperationStatus};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Agent, KEY, Site};

async fn backed_up(site: &Site) -> (Agent, OperationStatus) {
    site.write(
        "random",
        (0..60_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>(),
    );
    let agent = Agent::start(site).await;
    let backup = agent.backup_with("b", json!({"part_size_limit": 65_536})).await;
    assert_eq!(backup.state, OperationState::Done, "{backup:?}");
    site.write("random", "changed since");
    (agent, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_hashes_and_metadata_agree_and_public_tools_undo_it() {
    let site = Site::files();
    let (_agent, backup) = backed_up(&site).await;
    assert!(backup.parts.len() > 2, "{:?}", backup.parts);
    let mut all = Vec::new();
    for (number, part) in (1..).zip(&backup.parts) {
        let bytes = std::fs::read(site.part("b", number)).unwrap();
        assert_eq!(part.name, format!("data.{number:05}"));
        assert_eq!(part.size, u64::try_from(bytes.len()).unwrap());
        assert!(part.size <= 65_536);
        assert_eq!(part.sha256, hex::encode(Sha256::digest(&bytes)));
        all.extend(bytes);
    }
    assert_eq!(backup.checksum.as_deref(), Some(hex::encode(Sha256::digest(&all)).as_str()));
    assert_eq!(backup.bytes_stored, u64::try_from(all.len()).unwrap());
    assert_eq!(backup.filter_plugins, ["zstd", "age"]);
    assert!(backup.total_bytes_estimate.unwrap() >= 240_000);

    let bytes = std::fs::read(site.part("b", 1).with_file_name("metadata.json")).unwrap();
    let metadata = Metadata::parse(&bytes).unwrap();
    assert_eq!((metadata.parts, metadata.key_id.as_str()), (backup.parts, "key-1"));
    assert_eq!(metadata.plain_size, backup.bytes_read);
    assert_eq!(metadata.key_envelope.as_deref(), Some("1.sealed.by-the-manager"));
    assert!(!String::from_utf8(bytes).unwrap().contains(KEY));

    let identity = age::scrypt::Identity::new(KEY.to_owned().into());
    let decryptor = age::Decryptor::new(all.as_slice()).unwrap();
    let decrypted = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(decrypted).unwrap());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("random") {
            entry.read_to_end(&mut found).unwrap();
        }
    }
    assert_eq!(found.len(), 240_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_is_a_backup_too() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    site.write("extra", "x");
    agent.restore("r", &backup).await;
    assert_eq!(std::fs::read_dir(site.data()).unwrap().count(), 0);
}

/// Restores after something has happened to the stored backup; returns the error's code.
async fn restore_after(damage: impl FnOnce(&Site), changes: Value) -> (String, String) {
    let site = Site::files();
    let (agent, backup) = backed_up(&site).await;
    damage(&site);
    let restore = agent.restore_with("r", &backup, changes).await;
    assert_eq!(restore.state, OperationState::Failed);
    assert_eq!(restore.bytes_stored, 0, "nothing may reach the data service");
    assert_eq!(std::fs::read_to_string(site.data().join("random")).unwrap(), "changed since");
    let beside = std::fs::read_dir(site.data().parent().unwrap()).unwrap().count();
    assert_eq!(beside, 3, "nothing may stay beside the directory");
    let error = restore.error.unwrap();
    (error.code, error.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_noticed_before_the_data_is_touched() {
    let flip = |site: &Site| {
        let mut bytes = std::fs::read(site.part("b", 2)).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(site.part("b", 2), bytes).unwrap();
    };
    let (code, message) = restore_after(flip, json!({})).await;
    assert_eq!(code, "checksum_mismatch");
    assert!(message.contains("data.00002"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_part_is_noticed_before_the_data_is_touched() {
    let remove = |site: &Site| std::fs::remove_file(site.part("b", 3)).unwrap();
    assert_eq!(restore_after(remove, json!({})).await.0, "store_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_part_is_noticed_before_the_data_is_touched() {
    let truncate = |site: &Site| {
        let file = std::fs::File::options().write(true).open(site.part("b", 1)).unwrap();
        file.set_len(60_000).unwrap();
    };
    assert_eq!(restore_after(truncate, json!({})).await.0, "checksum_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_metadata_means_that_there_is_no_backup() {
    let remove =
        |site: &Site| std::fs::remove_file(site.part("b", 1).with_file_name("metadata.json")).unwrap();
    assert_eq!(restore_after(remove, json!({})).await.0, "store_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_noticed_before_the_data_is_touched() {
    let changes = json!({"encryption": {"scheme": "age", "key": "not the key", "key_id": "key-2"}});
    let (code, message) = restore_after(|_| {}, changes).await;
    assert_eq!(code, "decryption_failed");
    assert!(message.contains("key-2") && !message.contains("not the key"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_checksum_in_the_request_is_refused() {
    assert_eq!(restore_after(|_| {}, json!({"checksum": "0".repeat(64)})).await.0, "checksum_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_makes_the_operation_fail() {
    let site = Site::files();
    site.write("a", "b");
    // A file where a folder must be: fails for root as well.
    std::fs::write(site.path("store").join("prefix"), "in the way").unwrap();
    let agent = Agent::start(&site).await;
    let failed = agent.backup_with("b", json!({})).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.state, error.code.as_str()), (OperationState::Failed, "store_error"));
    assert!(error.message.contains("`main`"), "{}", error.message);
}
