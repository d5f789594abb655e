//! Whose a backup's folder is. An empty folder is no claim on it, since two agents may see it empty at the same time; an
//! object that can be created only once is.

use std::fs::DirEntry;
use std::io::ErrorKind;

use bytes::Bytes;

use crate::error::{StoreError, StoreErrorKind};
use crate::layout::{BackupFolder, OWNER_NAME};
use crate::store::Store;

/// Longer than any id that is ever written.
const LONGEST_ID: u64 = 1024;

impl Store {
    /// Claims an empty folder by creating its `owner` object, which holds `id`: a random one, known to nobody else.
    ///
    /// # Errors
    /// [`StoreErrorKind::AlreadyExists`] when the folder holds anything or somebody else was faster. After any other
    /// error the folder may be claimed all the same; [`Store::delete_owned`] gives it back.
    pub async fn claim(&self, folder: &BackupFolder, id: &str) -> Result<(), StoreError> {
        if !self.list(folder.path()).await?.is_empty() {
            return Err(StoreError::new(self.name(), "claim", folder.path(), StoreErrorKind::AlreadyExists));
        }
        self.put_bytes(&folder.owner(), Bytes::copy_from_slice(id.as_bytes())).await
    }

    /// Whether the folder was claimed with this id.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub async fn is_owner(&self, folder: &BackupFolder, id: &str) -> Result<bool, StoreError> {
        match self.get_bytes(&folder.owner(), LONGEST_ID).await {
            Ok(owner) => Ok(owner == id.as_bytes()),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes everything in a folder that was claimed with this id, or the remains of a claim with it that was killed
    /// half-way. Any other folder is left as it is, also one that somebody else may claim at this moment. The owner object goes last, so an interrupted deletion can
    /// be repeated.
    ///
    /// # Errors
    /// As [`Store::delete_prefix`].
    pub async fn delete_owned(&self, folder: &BackupFolder, id: &str) -> Result<(), StoreError> {
        match self.is_owner(folder, id).await? {
            #[expect(
                clippy::disallowed_methods,
                reason = "an agent's own remains, which no row refers to any more"
            )]
            true => self.delete_prefix(folder.path()).await,
            false => self.remove_unfinished_claim(folder, id).await,
        }
    }

    /// In a local directory an object is written under another name first (`owner#1`), which listings hide. One that was
    /// left by a kill begins as our id does; nobody else knows the id.
    async fn remove_unfinished_claim(&self, folder: &BackupFolder, id: &str) -> Result<(), StoreError> {
        let Some(directory) = self.directory.as_ref().map(|root| root.join(folder.path())) else {
            return Ok(());
        };
        let id = id.to_owned();
        let remove = move || {
            let is_staged = |entry: &DirEntry| {
                entry.file_name().to_str().is_some_and(|name| name.starts_with(&format!("{OWNER_NAME}#")))
            };
            let found = match std::fs::read_dir(&directory) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                found => found?,
            };
            for staged in found.collect::<Result<Vec<_>, _>>()?.iter().filter(|entry| is_staged(entry)) {
                if id.as_bytes().starts_with(&std::fs::read(staged.path())?) {
                    std::fs::remove_file(staged.path())?;
                }
            }
            match std::fs::remove_dir(&directory) {
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                    Err(error)
                }
                _ => Ok(()),
            }
        };
        let removed = tokio::task::spawn_blocking(remove).await;
        let removed = removed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        removed.map_err(|error| StoreError::from_io(&self.name, "delete", folder.path(), error))
    }
}

#[cfg(test)]
mod tests {
    use crate::{BackupFolder, Store, StoreConfig};

    #[tokio::test]
    async fn a_claim_that_was_killed_half_way_is_removed_by_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open("main", &StoreConfig::Local { directory: root.path().to_owned() }).unwrap();
        let folder = BackupFolder::parse("p", "b").unwrap();
        let directory = root.path().join("p/b");
        std::fs::create_dir_all(&directory).unwrap();
        for staged in ["", "our-", "our-id"] {
            std::fs::write(directory.join("owner#1"), staged).unwrap();
            std::fs::write(directory.join("owner#2"), "their-id").unwrap();
            store.delete_owned(&folder, "our-id").await.unwrap();
            assert!(!directory.join("owner#1").exists(), "{staged:?}");
            assert!(directory.join("owner#2").exists(), "somebody else's");
        }
        std::fs::remove_file(directory.join("owner#2")).unwrap();
        store.delete_owned(&folder, "our-id").await.unwrap();
        assert!(!directory.exists());
    }
}
