//! What is done is in the store, whole and with the checksum that is recorded; nothing else is in the store.

use std::collections::BTreeMap;

use super::Violation;
use crate::facts::{Facts, Folder, Row};

const WHOLE: &str = "what is done is in the store, whole";
const CLEAN: &str = "no object without a row";

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let path = |row: &Row| format!("{}/{}", row.object_prefix, row.backup_id);
    let rows: BTreeMap<String, &Row> = facts.backups.iter().map(|row| (path(row), row)).collect();
    let mut found = Vec::new();
    for (path, row) in &rows {
        if let Some(fault) = fault(row, facts.folders.get(path)) {
            found.push(Violation::new(WHOLE, format!("backup {} ({path}, {}): {fault}", row.id, row.status)));
        }
    }
    for (path, folder) in &facts.folders {
        match rows.get(path) {
            None => found.push(Violation::new(CLEAN, format!("{path} has {:?} and no row", folder.names))),
            // A failed one that is marked keeps its remains until it is removed.
            Some(row) if row.status != "deleted" && !was_good(row) && !folder.names.is_empty() => {
                let text = format!("{path} has {:?}, and backup {} is {}", folder.names, row.id, row.status);
                found.push(Violation::new(CLEAN, text));
            }
            Some(_) => {}
        }
    }
    found.extend(
        facts.strays.iter().map(|stray| Violation::new(CLEAN, format!("{stray} belongs to no backup"))),
    );
    found
}

/// Done, or marked after it was done.
fn was_good(row: &Row) -> bool {
    match row.status.as_str() {
        "done" => true,
        "deleted" => row.reason_code.is_none() && row.checksum.is_some(),
        _ => false,
    }
}

fn fault(row: &Row, folder: Option<&Folder>) -> Option<String> {
    if !was_good(row) {
        let is_left = row.status == "failed" && row.has_remains;
        return is_left.then(|| "its remains have not been cleaned up".to_owned());
    }
    // A removal that has begun may have taken anything.
    if row.removal_reason.is_some() {
        return Some("its removal has begun and not ended".to_owned());
    }
    let Some(folder) = folder else { return Some("the store has nothing of it".to_owned()) };
    if i64::try_from(folder.size).ok() != Some(row.size) {
        return Some(format!("the store has {} bytes, the row says {}", folder.size, row.size));
    }
    if Some(&folder.checksum) != row.checksum.as_ref() {
        return Some(format!("the stored bytes have {}, the row says {:?}", folder.checksum, row.checksum));
    }
    let Some(metadata) = &folder.metadata else {
        return Some("metadata.json is missing or unreadable".to_owned());
    };
    let says = |key: &str| metadata.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    if says("backup_id").as_ref() != Some(&row.backup_id) || says("checksum") != row.checksum {
        return Some("metadata.json tells of something else".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;

    type Doctor = fn(&mut Facts);

    #[test]
    fn every_damage_is_found() {
        let cases: [(&str, Doctor); 9] = [
            ("gone", |facts| facts.folders.clear()),
            ("short", |facts| sane::folder(facts, 2).size -= 1),
            ("other bytes", |facts| sane::folder(facts, 2).checksum = "00".into()),
            ("no metadata", |facts| sane::folder(facts, 2).metadata = None),
            ("others' metadata", |facts| {
                sane::folder(facts, 2).metadata = Some(serde_json::json!({"backup_id": "x"}))
            }),
            ("no row", |facts| facts.backups.retain(|row| row.id != 2)),
            ("remains", |facts| facts.backups[0].status = "failed".into()),
            ("has_remains", |facts| {
                facts.folders.remove("p/b-2");
                facts.backups[1].status = "failed".into();
                facts.backups[1].has_remains = true;
            }),
            ("stray", |facts| facts.strays.push("p/x#1".into())),
        ];
        for (name, doctor) in cases {
            let mut facts = sane::world();
            doctor(&mut facts);
            assert!(!check(&facts).is_empty(), "{name}");
        }
    }
}
