//! The records on disk: one JSON file per operation, replaced as a whole and synced, so that a power cut leaves either
//! the old record or the new one. A lock keeps a second agent out. Ended operations are forgotten by their number alone,
//! never by their age: a clock that is wrong for a moment must not erase what the manager may still ask for.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::entry::{Entry, Key};

const LOCK: &str = "lock";
const FINISHED: &str = ".json";
const UNFINISHED: &str = ".new";

/// How many ended operations are remembered; years of daily backups and restores.
pub(super) const KEPT: usize = 10_000;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another agent has the directory.
    #[error("the journal {0} is in use by another agent")]
    InUse(PathBuf),
    /// The disk does not work as it should.
    #[error("the journal file {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A record is damaged. It is not ignored, because an operation must not be forgotten.
    #[error("the journal file {path} is damaged: {source}; look at it, then move it away")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// The directory of records.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    /// Unlocked by the kernel when the process ends, however it ends.
    _lock: File,
}

impl Journal {
    /// Opens the directory, makes it if necessary, and reads all records.
    pub(super) fn open(directory: &Path) -> Result<(Self, Vec<Entry>), JournalError> {
        fs::create_dir_all(directory).map_err(|e| failed(directory, e))?;
        let path = directory.join(LOCK);
        let lock = File::create(&path).map_err(|e| failed(&path, e))?;
        if lock.try_lock().is_err() {
            return Err(JournalError::InUse(directory.to_owned()));
        }
        let mut entries = Vec::new();
        for file in fs::read_dir(directory).map_err(|e| failed(directory, e))? {
            let path = file.map_err(|e| failed(directory, e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(UNFINISHED) {
                fs::remove_file(&path).map_err(|e| failed(&path, e))?;
            } else if name.ends_with(FINISHED) {
                let bytes = fs::read(&path).map_err(|e| failed(&path, e))?;
                let damaged = |source| JournalError::Damaged { path: path.clone(), source };
                entries.push(serde_json::from_slice(&bytes).map_err(damaged)?);
            }
        }
        Ok((Self { directory: directory.to_owned(), _lock: lock }, entries))
    }

    /// Writes a record, durably.
    pub(super) fn save(&self, entry: &Entry) -> Result<(), JournalError> {
        let path = self.path(&entry.key(), FINISHED);
        let unfinished = self.path(&entry.key(), UNFINISHED);
        let written = serde_json::to_vec_pretty(entry).map_err(Into::into).and_then(|bytes| {
            let mut file = File::create(&unfinished)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()
        });
        written.map_err(|e| failed(&path, e))
    }

    /// Removes a record.
    pub(super) fn remove(&self, key: &Key) -> Result<(), JournalError> {
        let path = self.path(key, FINISHED);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(()),
        }
    }

    fn path(&self, (kind, id): &Key, ending: &str) -> PathBuf {
        self.directory.join(format!("{kind}-{id}{ending}"))
    }
}

fn failed(path: &Path, source: std::io::Error) -> JournalError {
    JournalError::File { path: path.to_owned(), source }
}

/// Records that need not be kept any longer: those of ended operations beyond the newest 10,000.
pub(super) fn expired<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Key> {
    let mut ended: Vec<&Entry> =
        entries.filter(|entry| !entry.is_running() && !entry.cleanup_pending).collect();
    if ended.len() <= KEPT {
        return Vec::new();
    }
    ended.sort_by_key(|entry| std::cmp::Reverse(entry.status.finished_at.unwrap_or(entry.status.started_at)));
    ended.iter().skip(KEPT).map(|entry| entry.key()).collect()
}

#[cfg(test)]
mod tests {
    use backup_protocol::OperationState;
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::operations::Kind;

    fn ended(id: usize, days_ago: i64, now: DateTime<Utc>) -> Entry {
        let at = now - TimeDelta::days(days_ago);
        let mut entry = Entry::begin(Kind::Backup, &id.to_string(), 1, at);
        entry.end(OperationState::Failed, None, at);
        entry
    }

    #[test]
    fn surplus_records_expire_oldest_first_but_never_running_ones() {
        let now = Utc::now();
        let mut entries: Vec<_> = (0..KEPT).map(|id| ended(id, 1, now)).collect();
        entries.push(Entry::begin(Kind::Backup, "running", 1, now - TimeDelta::days(99)));
        assert!(expired(entries.iter()).is_empty());
        entries.insert(7, ended(KEPT, 31, now));
        assert_eq!(expired(entries.iter()), [(Kind::Backup, KEPT.to_string())]);
    }

    #[test]
    fn no_clock_makes_a_record_expire_by_its_age() {
        let now = Utc::now();
        let entries = [ended(1, 100_000, now), ended(2, -100_000, now)];
        assert!(expired(entries.iter()).is_empty());
    }
}
