//! Writing a large object in pieces. Nothing is visible under the object's name before [`Upload::finish`], and an
//! existing object is never replaced.

use bytes::{Bytes, BytesMut};
use object_store::ObjectStore as _;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, RenameOptions, RenameTargetMode};

use crate::error::{StoreError, StoreErrorKind};
use crate::store::Store;

/// A large object on its way into the store. Dropping it leaves the rest to [`Store::delete_prefix`].
pub struct Upload {
    store: Store,
    path: String,
    target: Path,
    staged: Path,
    inner: Box<dyn MultipartUpload>,
    buffer: BytesMut,
    chunk_size: usize,
    written: u64,
}

impl Upload {
    pub(crate) async fn begin(store: Store, path: &str, chunk_size: usize) -> Result<Self, StoreError> {
        let target = store.location("create", path)?;
        // A rename that refuses to replace costs nothing in a directory; elsewhere it would copy the object.
        let staged = match store.is_local() {
            true => store.location("create", &format!("{path}.partial"))?,
            false => target.clone(),
        };
        if store.size(path).await?.is_some() {
            return Err(StoreError::new(store.name(), "create", path, StoreErrorKind::AlreadyExists));
        }
        let inner = store.inner.put_multipart(&staged).await.map_err(|e| store.failed("create", path, e))?;
        Ok(Self {
            store,
            path: path.to_owned(),
            target,
            staged,
            inner,
            buffer: BytesMut::new(),
            chunk_size: chunk_size.max(1),
            written: 0,
        })
    }

    /// Adds bytes at the end. Sends whole chunks on; at most one chunk is kept in memory.
    ///
    /// # Errors
    /// When the store does not take a chunk, for example because a disk is full.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = self.chunk_size.saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.buffer.len() >= self.chunk_size {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Makes the object visible under its name, durably, and returns its size.
    ///
    /// # Errors
    /// [`StoreErrorKind::AlreadyExists`] when somebody else created the object meanwhile; theirs is left as it is.
    pub async fn finish(mut self) -> Result<u64, StoreError> {
        if !self.buffer.is_empty() || self.written == 0 {
            self.send().await?;
        }
        self.inner.complete().await.map_err(|e| self.store.failed("complete", &self.path, e))?;
        if self.staged != self.target {
            let options = RenameOptions::new().with_target_mode(RenameTargetMode::Create);
            let renamed = self.store.inner.rename_opts(&self.staged, &self.target, options).await;
            renamed.map_err(|e| self.store.failed("create", &self.path, e))?;
        }
        Ok(self.written)
    }

    /// Gives the upload up and removes what was sent so far.
    ///
    /// # Errors
    /// When the store does not confirm it.
    pub async fn abort(mut self) -> Result<(), StoreError> {
        self.inner.abort().await.map_err(|e| self.store.failed("abort", &self.path, e))
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        let chunk = self.buffer.split().freeze();
        self.written = self.written.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        let sent = self.inner.put_part(chunk.into()).await;
        sent.map_err(|e| self.store.failed("write to", &self.path, e))
    }
}
