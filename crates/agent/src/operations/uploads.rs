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
    unfinished: Mutex<Vec<Record>>,
}

#[derive(Debug)]
struct Record {
    path: PathBuf,
    upload: UnfinishedUpload,
    /// Begun by an agent before this one: nobody works on it any longer.
    is_inherited: bool,
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
                    Ok(upload) => unfinished.push(Record { path, upload, is_inherited: true }),
                    // Nothing was sent for an upload whose record was not yet written.
                    Err(_) => fs::remove_file(&path)?,
                }
            }
            Ok(unfinished)
        };
        let unfinished = read().map_err(|source| JournalError::File { path: directory.clone(), source })?;
        Ok(Self { directory, unfinished: Mutex::new(unfinished) })
    }

    /// The uploads of this store below this folder; all that were inherited where none is named.
    fn of(&self, store: &str, folder: Option<&str>) -> Vec<UnfinishedUpload> {
        let is_meant = |record: &&Record| match folder {
            _ if record.upload.store != store => false,
            Some(folder) => record.upload.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
            None => record.is_inherited,
        };
        self.list().iter().filter(is_meant).map(|record| record.upload.clone()).collect()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Record>> {
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
        self.list().push(Record { path, upload: upload.clone(), is_inherited: false });
        Ok(())
    }

    fn ended(&self, upload: &UnfinishedUpload) {
        self.list().retain(|Record { path, upload: unfinished, .. }| {
            // A file that stays is aborted once more, which does no harm.
            unfinished != upload || fs::remove_file(path).is_err_and(|e| e.kind() != io::ErrorKind::NotFound)
        });
    }
}

impl Operations {
    /// Aborts the unfinished uploads to this store below this folder, or those that were inherited. One that cannot be
    /// aborted does not keep the others.
    pub(super) async fn abort_uploads(&self, store: &str, folder: Option<&str>) -> Result<(), StoreError> {
        let Some(opened) = self.inner.settings.stores.get(store) else { return Ok(()) };
        let mut aborted = Ok(());
        for upload in self.inner.uploads.of(store, folder) {
            aborted = aborted.and(opened.abort(&upload).await);
        }
        aborted
    }

    /// Aborts what an agent before this one has left unfinished. What this one begins is aborted with the folder of its
    /// operation, and nothing else touches it.
    pub(super) async fn abort_inherited_uploads(&self) {
        for store in self.inner.settings.stores.keys() {
            if let Err(error) = self.abort_uploads(store, None).await {
                tracing::warn!(store, %error, "an unfinished upload cannot be aborted yet");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(id: &str) -> UnfinishedUpload {
        UnfinishedUpload { store: "main".to_owned(), path: "p/b/data.00001".to_owned(), id: id.to_owned() }
    }

    #[test]
    fn an_upload_of_this_agent_is_found_by_its_folder_alone_and_an_inherited_one_always() {
        let directory = tempfile::tempdir().unwrap();
        Uploads::open(directory.path()).unwrap().begun(&upload("old")).unwrap();
        let uploads = Uploads::open(directory.path()).unwrap();
        uploads.begun(&upload("new")).unwrap();
        assert_eq!(uploads.of("main", None), [upload("old")], "the other one may be at work");
        assert_eq!(uploads.of("main", Some("p/b")), [upload("old"), upload("new")]);
        assert!(uploads.of("main", Some("p/bb")).is_empty() && uploads.of("other", None).is_empty());
        uploads.ended(&upload("old"));
        assert!(uploads.of("main", None).is_empty());
    }
}
