//! Requests to start that the fake refuses, as the reference agent does.

use backup_protocol::{Encryption, StartBackup};
use chrono::{DateTime, Utc};

use super::operations::Start;

const LARGEST_BODY: usize = 64 * 1024;

/// Reads a body; an error begins with the field.
pub(super) fn body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string())
}

/// What is wrong with the body, before it is read.
pub(super) fn too_large(body: &[u8]) -> bool {
    body.len() > LARGEST_BODY
}

/// What is wrong with a request to start: the field, then why.
pub(super) fn reason(id: &str, start: &Start, stores: &[String]) -> Option<String> {
    let (store, prefix, encryption, deadline) = match start {
        Start::Backup(body) => (&body.store, &body.object_prefix, &body.encryption, body.deadline),
        Start::Restore(body) => (&body.store, &body.object_prefix, &body.encryption, body.deadline),
        Start::Rehearsal(body) => (&body.store, &body.object_prefix, &body.encryption, body.deadline),
    };
    let is_unknown = !stores.is_empty() && !stores.contains(store);
    (!is_name(id))
        .then(|| "id: not allowed".to_owned())
        .or_else(|| is_unknown.then(|| "store: there is no such store".to_owned()))
        .or_else(|| (!prefix.split('/').all(is_name)).then(|| "object_prefix: leaves its folder".to_owned()))
        .or_else(|| shared(encryption, deadline))
        .or_else(|| match start {
            Start::Backup(body) => backup(body),
            Start::Restore(_) | Start::Rehearsal(_) => None,
        })
}

fn shared(encryption: &Encryption, deadline: DateTime<Utc>) -> Option<String> {
    if encryption.key.is_empty() {
        return Some("encryption.key: must not be empty".to_owned());
    }
    (deadline <= Utc::now()).then(|| "deadline: has passed already".to_owned())
}

fn backup(body: &StartBackup) -> Option<String> {
    if !(1..=19).contains(&body.compression.level) {
        return Some("compression.level: must be 1 to 19".to_owned());
    }
    if body.part_size_limit < 1024 {
        return Some("part_size_limit: must be at least 1024".to_owned());
    }
    (body.rate_limit_bytes_per_second == Some(0))
        .then(|| "rate_limit_bytes_per_second: must be above 0".to_owned())
}

/// One piece of a path.
pub(super) fn is_name(piece: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-=+@".contains(&byte);
    (1..=200).contains(&piece.len()) && piece.bytes().all(allowed) && piece.bytes().any(|byte| byte != b'.')
}
