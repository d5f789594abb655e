//! The stored forms: read and written by the public programs, and held against every damage.

mod damage;
mod interoperability;

use std::path::{Path, PathBuf};

use backup_protocol::{OperationState, OperationStatus};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Agent, KEY, Site};

/// Compression and encryption of a form, as a request names them.
pub(crate) type Form = (&'static str, &'static str);

pub(crate) const FORMS: [Form; 4] =
    [("zstd", "age"), ("gzip", "openssl-enc"), ("gzip", "age"), ("zstd", "openssl-enc")];

/// What goes into the body of a request for a backup in this form.
pub(crate) fn asking_for((compression, encryption): Form) -> Value {
    json!({
        "compression": {"scheme": compression, "level": 3},
        "encryption": {"scheme": encryption, "key": KEY, "key_id": "key-1"},
        "part_size_limit": 65_536,
    })
}

/// The encryption in the body of a restore.
fn opening(encryption: &str, key: &str) -> Value {
    json!({"scheme": encryption, "key": key, "key_id": "key-1"})
}

/// Bytes that do not compress.
fn random(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

/// A backup `b` of several parts in this form.
pub(crate) async fn backed_up(site: &Site, form: Form) -> (Agent, OperationStatus) {
    site.write("random", random(240_000));
    let agent = Agent::start(site).await;
    let backup = agent.backup_with("b", asking_for(form)).await;
    assert_eq!(backup.state, OperationState::Done, "{form:?}: {backup:?}");
    assert_eq!(backup.filter_plugins, [form.0, form.1]);
    assert!(backup.parts.len() > 3, "{:?}", backup.parts);
    (agent, backup)
}

pub(crate) fn folder(site: &Site, id: &str) -> PathBuf {
    site.path("store").join("prefix/guid").join(id)
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_part = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("data.");
    let mut parts: Vec<_> = entries.filter(is_part).collect();
    parts.sort();
    parts
}

fn metadata(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("metadata.json")).unwrap()).unwrap()
}

fn change_metadata(folder: &Path, change: impl FnOnce(&mut Value)) {
    let mut metadata = metadata(folder);
    change(&mut metadata);
    std::fs::write(folder.join("metadata.json"), metadata.to_string()).unwrap();
}

/// Makes `metadata.json` agree with the parts that are there, as somebody with access to the store could; returns the
/// checksum.
fn relabel(folder: &Path) -> String {
    let mut all = Vec::new();
    let mut listed = Vec::new();
    for part in parts(folder) {
        let bytes = std::fs::read(&part).unwrap();
        listed.push(json!({
            "name": part.file_name().unwrap().to_str().unwrap(),
            "size": bytes.len(),
            "sha256": hex::encode(Sha256::digest(&bytes)),
        }));
        all.extend(bytes);
    }
    let checksum = hex::encode(Sha256::digest(&all));
    change_metadata(folder, |metadata| {
        metadata["parts"] = listed.into();
        metadata["size"] = all.len().into();
        metadata["checksum"] = checksum.clone().into();
    });
    checksum
}
