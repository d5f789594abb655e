//! Whose a backup's folder is. An empty folder is no claim on it, since two agents may see it empty at the same time; an
//! object that can be created only once is.

use bytes::Bytes;

use crate::error::{StoreError, StoreErrorKind};
use crate::layout::BackupFolder;
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

    /// Deletes everything in a folder that was claimed with this id. Any other folder is left as it is, also an empty
    /// one, which somebody else may claim at this moment. The owner object goes last, so an interrupted deletion can
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
            false => Ok(()),
        }
    }
}
