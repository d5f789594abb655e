//! Uploads that a provider across the network has begun and not ended. They are in no listing, cost money and would stay
//! for ever after a `kill -9`, so whoever uploads may have them recorded and abort them later.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::{StoreError, StoreErrorKind};
use crate::open::Multipart;
use crate::store::Store;

/// What is needed to abort an upload. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedUpload {
    /// Name of the store.
    pub store: String,
    /// The object that was to be.
    pub path: String,
    /// The provider's id of the upload.
    pub id: String,
}

/// Where unfinished uploads are written down. Both functions may block.
pub trait UploadRecord: Debug + Send + Sync {
    /// An upload was begun; when this fails, nothing is sent.
    ///
    /// # Errors
    /// When it cannot be written down durably.
    fn begun(&self, upload: &UnfinishedUpload) -> io::Result<()>;

    /// An upload was completed or aborted.
    fn ended(&self, upload: &UnfinishedUpload);
}

impl Store {
    /// The same store with its unfinished uploads recorded.
    #[must_use]
    pub fn recording(self, record: Arc<dyn UploadRecord>) -> Self {
        let mut store = self;
        store.record = Some(record);
        store
    }

    /// Aborts an upload of this store, with all that was sent. One that the store no longer knows counts as aborted.
    ///
    /// # Errors
    /// Any failure but absence.
    pub async fn abort(&self, upload: &UnfinishedUpload) -> Result<(), StoreError> {
        let Some(multipart) = self.multipart() else { return Ok(()) };
        let full = multipart.full(&self.location("abort", &upload.path)?);
        let abort = |_| {
            let (inner, full, id) = (Arc::clone(&multipart.inner), full.clone(), upload.id.clone());
            async move { inner.abort_multipart(&full, &id).await }
        };
        match self.retry().run(abort).await.map_err(|e| self.failed("abort", &upload.path, e)) {
            Err(error) if error.kind() != StoreErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.forget(upload);
        Ok(())
    }

    pub(crate) async fn begin_multipart(
        &self,
        multipart: &Multipart,
        path: &str,
        target: &Path,
    ) -> Result<UnfinishedUpload, StoreError> {
        let full = multipart.full(target);
        let begin = |_| {
            let (inner, full) = (Arc::clone(&multipart.inner), full.clone());
            async move { inner.create_multipart(&full).await }
        };
        let id = self.retry().run(begin).await.map_err(|e| self.failed("create", path, e))?;
        let upload = UnfinishedUpload { store: self.name().to_owned(), path: path.to_owned(), id };
        if let Some(record) = self.record.clone().filter(|_| !upload.id.is_empty()) {
            let recorded = upload.clone();
            let written = tokio::task::spawn_blocking(move || record.begun(&recorded)).await;
            if let Err(error) = written.unwrap_or_else(|e| Err(io::Error::other(e))) {
                self.abort(&upload).await?;
                return Err(StoreError::from_io(self.name(), "record the upload of", path, error));
            }
        }
        Ok(upload)
    }

    pub(crate) fn forget(&self, upload: &UnfinishedUpload) {
        if let Some(record) = self.record.as_ref().filter(|_| !upload.id.is_empty()) {
            record.ended(upload);
        }
    }
}
