//! Uploads that a store has begun and not ended, one small file each in the journal. A store keeps the pieces of such
//! an upload for ever and shows them in no listing; so whatever ends an operation without success aborts them, and so does
//! the next start after a `kill -9`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use backup_objects::{StoreError, UnfinishedUpload, UploadRecord};

use super::journal::JournalError;
use super::registry::Operations;

const ENDING: &str = "upload";

/// The files and what is in them.
#[derive(Debug)]
pub(super) struct Uploads {
    directory: PathBuf,
    unfinished: Mutex<Vec<(PathBuf, UnfinishedUpload)>>,
}

impl Uploads {
    /// Reads what an agent before this one has left unfinished.
    pub(super) fn open(journal: &Path) -> Result<Self, JournalError> {
        let directory = journal.to_owned();
        let read = || {
            let mut unfinished = Vec::new();
            for file in fs::read_dir(&directory)? {
                let path = file?.path();
                if path.extension().is_none_or(|ending| ending != ENDING) {
                    continue;
                }
                match serde_json::from_slice(&fs::read(&path)?) {
                    Ok(upload) => unfinished.push((path, upload)),
                    // Nothing was sent for an upload whose record was not yet written.
                    Err(_) => fs::remove_file(&path)?,
                }
            }
            Ok(unfinished)
        };
        let unfinished = read().map_err(|source| JournalError::File { path: directory.clone(), source })?;
        Ok(Self { directory, unfinished: Mutex::new(unfinished) })
    }

    /// The uploads of this store below this folder, or all of it.
    fn of(&self, store: &str, folder: Option<&str>) -> Vec<UnfinishedUpload> {
        let is_below = |upload: &UnfinishedUpload| {
            let below = |folder| upload.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            upload.store == store && folder.is_none_or(below)
        };
        let unfinished = self.list();
        unfinished.iter().map(|(_, upload)| upload).filter(|upload| is_below(upload)).cloned().collect()
    }

    fn list(&self) -> MutexGuard<'_, Vec<(PathBuf, UnfinishedUpload)>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploadRecord for Uploads {
    fn begun(&self, upload: &UnfinishedUpload) -> io::Result<()> {
        let path = self.directory.join(format!("{}.{ENDING}", uuid::Uuid::new_v4()));
        let mut file = File::create(&path)?;
        file.write_all(&serde_json::to_vec_pretty(upload)?)?;
        file.sync_all()?;
        File::open(&self.directory)?.sync_all()?;
        self.list().push((path, upload.clone()));
        Ok(())
    }

    fn ended(&self, upload: &UnfinishedUpload) {
        self.list().retain(|(path, unfinished)| {
            // A file that stays is aborted once more, which does no harm.
            unfinished != upload || fs::remove_file(path).is_err_and(|e| e.kind() != io::ErrorKind::NotFound)
        });
    }
}

impl Operations {
    /// Aborts the unfinished uploads to this store, below this folder or all.
    pub(super) async fn abort_uploads(&self, store: &str, folder: Option<&str>) -> Result<(), StoreError> {
        let Some(opened) = self.inner.settings.stores.get(store) else { return Ok(()) };
        for upload in self.inner.uploads.of(store, folder) {
            opened.abort(&upload).await?;
        }
        Ok(())
    }

    /// Aborts all unfinished uploads; only while no operation runs.
    pub(super) async fn abort_all_uploads(&self) {
        for store in self.inner.settings.stores.keys() {
            if let Err(error) = self.abort_uploads(store, None).await {
                tracing::warn!(store, %error, "an unfinished upload cannot be aborted yet");
            }
        }
    }
}
