//! The steady load: one [`Actor`] per service instance, all at work at once, as clients of the API that have nothing but
//! its answers to go by.

mod actor;
mod client;
mod control;
mod data;
mod notes;

use std::path::Path;

use serde_json::Value;

pub use actor::Actor;
pub use client::{Client, Meter, Reply};
pub use control::Control;
pub use data::Data;
pub use notes::Notes;

/// Whether no record of the agent's journal says that something runs. A journal that cannot be read counts as busy.
#[must_use]
pub fn is_idle(journal: &Path) -> bool {
    journal_entries(journal).is_some_and(|entries| {
        entries.iter().all(|entry| entry.pointer("/status/state").is_some_and(|state| state != "running"))
    })
}

/// The records of an agent's journal.
#[must_use]
pub fn journal_entries(journal: &Path) -> Option<Vec<Value>> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(journal).ok()? {
        let path = file.ok()?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            entries.push(serde_json::from_slice(&std::fs::read(path).ok()?).ok()?);
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_idle_when_nothing_in_it_runs() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_idle(folder.path()));
        std::fs::write(folder.path().join("backup-1.json"), r#"{"status": {"state": "done"}}"#).unwrap();
        assert!(is_idle(folder.path()));
        std::fs::write(folder.path().join("backup-2.json"), r#"{"status": {"state": "running"}}"#).unwrap();
        assert!(!is_idle(folder.path()));
        assert!(!is_idle(&folder.path().join("elsewhere")));
    }
}
