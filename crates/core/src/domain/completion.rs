//! The completion contract of spec 1.4: what an agent must report of a backup for it to count as complete.
//! Whether the store holds what was reported is asked by `check_operation`.

use std::collections::HashSet;

use backup_protocol::OperationStatus;

/// What a report of success lacks, in words; none when it is complete: a SHA-256 over the stored bytes, and parts
/// with plain, different names, a SHA-256 each, and more than 0 bytes together.
#[must_use]
pub fn fault(status: &OperationStatus) -> Option<&'static str> {
    if !status.checksum.as_deref().is_some_and(is_sha256) {
        return Some("the checksum is missing or not a SHA-256");
    }
    if status.parts.is_empty() {
        return Some("no parts are listed");
    }
    let mut names = HashSet::new();
    let mut total: u64 = 0;
    for part in &status.parts {
        if !is_plain_name(&part.name) || !names.insert(part.name.as_str()) {
            return Some("a part's name is impossible or occurs twice");
        }
        if !is_sha256(&part.sha256) {
            return Some("a part's checksum is not a SHA-256");
        }
        match total.checked_add(part.size) {
            Some(sum) => total = sum,
            None => return Some("the parts' sizes are impossible"),
        }
    }
    (total == 0 || i64::try_from(total).is_err()).then_some("the parts' sizes are impossible")
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn judge(change: impl FnOnce(&mut Value)) -> Option<&'static str> {
        let mut status = json!({"id": "b-1", "epoch": 1, "state": "done", "bytes_read": 9, "bytes_stored": 7,
            "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:00Z", "checksum": SHA,
            "parts": [{"name": "data.00001", "size": 7, "sha256": SHA}]});
        change(&mut status);
        fault(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_complete_report_has_no_fault() {
        assert_eq!(judge(|_| {}), None);
    }

    #[test]
    fn whatever_is_missing_or_impossible_is_a_fault() {
        let cases = [
            ("/checksum", Value::Null),
            ("/checksum", json!("abc")),
            ("/checksum", json!(SHA.to_uppercase())),
            ("/parts", json!([])),
            ("/parts/0/size", json!(0)),
            ("/parts/0/size", json!(u64::MAX)),
            ("/parts/0/name", json!("../metadata.json")),
            ("/parts/0/sha256", json!("")),
        ];
        for (path, value) in cases {
            let found = judge(|status| *status.pointer_mut(path).unwrap() = value.clone());
            assert!(found.is_some(), "{path} = {value}");
        }
    }

    #[test]
    fn a_part_named_twice_is_a_fault() {
        let twice = judge(|status| {
            let part = status["parts"][0].clone();
            status["parts"] = json!([part, part]);
        });
        assert!(twice.is_some());
    }
}
