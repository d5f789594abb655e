//! Writing a large object in pieces. Nothing is visible under the object's name before [`Upload::finish`], and an
//! existing object is never replaced. A chunk that a provider does not take is sent again, and only that chunk; at most
//! two chunks are in memory, one on its way and one that is being filled.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore as _;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, RenameOptions, RenameTargetMode};
use tokio::task::JoinHandle;

use crate::error::{StoreError, StoreErrorKind};
use crate::open::Multipart;
use crate::store::Store;
use crate::unfinished::UnfinishedUpload;

/// A large object on its way into the store. Dropping it leaves the rest to [`Store::delete_prefix`] and, at a provider
/// across the network, to [`Store::abort`].
pub struct Upload {
    store: Store,
    path: String,
    target: Path,
    sink: Sink,
    buffer: Vec<Bytes>,
    buffered: usize,
    chunk_size: usize,
    written: u64,
}

enum Sink {
    /// One call after the other; in a directory under another name, which a rename that refuses to replace ends.
    Plain { inner: Box<dyn MultipartUpload>, staged: Path },
    /// A provider whose pieces can be sent again. Nothing is begun before the first chunk is full.
    Remote { multipart: Multipart, begun: Option<Begun> },
}

/// An upload that the provider knows.
struct Begun {
    unfinished: UnfinishedUpload,
    parts: Vec<PartId>,
    flying: Option<Flight>,
}

/// A chunk on its way; dropping it gives it up.
struct Flight(JoinHandle<object_store::Result<PartId>>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Upload {
    pub(crate) async fn begin(store: Store, path: &str, chunk_size: usize) -> Result<Self, StoreError> {
        let target = store.location("create", path)?;
        if store.size(path).await?.is_some() {
            return Err(StoreError::new(store.name(), "create", path, StoreErrorKind::AlreadyExists));
        }
        let sink = match store.multipart() {
            Some(multipart) => Sink::Remote { multipart: multipart.clone(), begun: None },
            None => {
                // A rename that refuses to replace costs nothing in a directory; elsewhere it would copy the object.
                let staged = match store.is_local() {
                    true => store.location("create", &format!("{path}.partial"))?,
                    false => target.clone(),
                };
                let inner = store.inner.put_multipart(&staged).await;
                Sink::Plain { inner: inner.map_err(|e| store.failed("create", path, e))?, staged }
            }
        };
        let (path, chunk_size) = (path.to_owned(), chunk_size.max(1));
        Ok(Self { store, path, target, sink, buffer: Vec::new(), buffered: 0, chunk_size, written: 0 })
    }

    /// Adds bytes at the end. Sends whole chunks on.
    ///
    /// # Errors
    /// When the store does not take a chunk, for example because a disk is full.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = self.chunk_size.saturating_sub(self.buffered);
            let piece = bytes.split_to(room.min(bytes.len()));
            self.buffered = self.buffered.saturating_add(piece.len());
            self.buffer.push(piece);
            if self.buffered >= self.chunk_size {
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
        if let Sink::Remote { begun: None, .. } = self.sink {
            // It fits into one piece, so that the store itself refuses to replace.
            let (payload, size) = self.take();
            self.store.put(&self.path, payload).await?;
            return Ok(size);
        }
        if self.buffered > 0 || self.written == 0 {
            self.send().await?;
        }
        match self.sink {
            Sink::Plain { ref mut inner, ref staged } => {
                inner.complete().await.map_err(|e| self.store.failed("complete", &self.path, e))?;
                if *staged != self.target {
                    let options = RenameOptions::new().with_target_mode(RenameTargetMode::Create);
                    let renamed = self.store.inner.rename_opts(staged, &self.target, options).await;
                    renamed.map_err(|e| self.store.failed("create", &self.path, e))?;
                }
            }
            Sink::Remote { .. } => self.complete().await?,
        }
        Ok(self.written)
    }

    /// Gives the upload up and removes what was sent so far.
    ///
    /// # Errors
    /// When the store does not confirm it.
    pub async fn abort(self) -> Result<(), StoreError> {
        match self.sink {
            Sink::Plain { mut inner, .. } => {
                inner.abort().await.map_err(|e| self.store.failed("abort", &self.path, e))
            }
            Sink::Remote { begun: None, .. } => Ok(()),
            Sink::Remote { begun: Some(mut begun), .. } => {
                // A chunk that arrives after the end would stay for ever.
                drop(begun.flying.take());
                self.store.abort(&begun.unfinished).await
            }
        }
    }

    /// The protocols cannot refuse to replace at the end of a multipart upload everywhere, so it is looked at before; the
    /// folder's owner object keeps others out of the moment between.
    async fn complete(&mut self) -> Result<(), StoreError> {
        let Self { store, path, sink, written, .. } = self;
        let Sink::Remote { multipart, begun: Some(begun) } = sink else { return Ok(()) };
        land(begun).await.map_err(|e| store.failed("write to", path, e))?;
        if store.size(path).await?.is_some() {
            store.abort(&begun.unfinished).await?;
            return Err(StoreError::new(store.name(), "create", path, StoreErrorKind::AlreadyExists));
        }
        let (id, full) = (begun.unfinished.id.clone(), multipart.full(&self.target));
        let completed = store.retry().run(|_| {
            let (inner, id, parts) = (Arc::clone(&multipart.inner), id.clone(), begun.parts.clone());
            let full = full.clone();
            async move { inner.complete_multipart(&full, &id, parts).await.map(drop) }
        });
        if let Err(error) = completed.await {
            // An answer may have been lost: the provider then has the object and no longer knows the upload.
            let size = store.size(path).await;
            if !matches!(size, Ok(Some(size)) if size == *written) {
                return Err(store.failed("complete", path, error));
            }
        }
        store.forget(&begun.unfinished);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        let (payload, size) = self.take();
        self.written = self.written.saturating_add(size);
        let Self { store, path, target, sink, .. } = self;
        match sink {
            Sink::Plain { inner, .. } => inner.put_part(payload).await,
            Sink::Remote { multipart, begun } => {
                if begun.is_none() {
                    let unfinished = store.begin_multipart(multipart, path, target).await?;
                    *begun = Some(Begun { unfinished, parts: Vec::new(), flying: None });
                }
                let Some(begun) = begun else { return Ok(()) };
                let landed = land(begun).await;
                begun.flying = Some(fly(store, multipart, begun, target, payload));
                landed
            }
        }
        .map_err(|e| store.failed("write to", path, e))
    }

    fn take(&mut self) -> (PutPayload, u64) {
        let size = u64::try_from(std::mem::take(&mut self.buffered)).unwrap_or(u64::MAX);
        (std::mem::take(&mut self.buffer).into_iter().collect(), size)
    }
}

/// Sends a chunk, again and again if it must be, while the next one is filled.
fn fly(store: &Store, multipart: &Multipart, begun: &Begun, target: &Path, payload: PutPayload) -> Flight {
    let (multipart, retry) = (multipart.clone(), store.retry());
    let (full, id, number) = (multipart.full(target), begun.unfinished.id.clone(), begun.parts.len());
    Flight(tokio::spawn(async move {
        let send = |_| {
            let (inner, full, id, payload) =
                (Arc::clone(&multipart.inner), full.clone(), id.clone(), payload.clone());
            async move { inner.put_part(&full, &id, number, payload).await }
        };
        retry.run(send).await
    }))
}

/// Waits for the chunk on its way.
async fn land(begun: &mut Begun) -> object_store::Result<()> {
    let Some(flight) = &mut begun.flying else { return Ok(()) };
    let landed = (&mut flight.0).await;
    begun.flying = None;
    let part = landed.unwrap_or_else(|error| {
        Err(object_store::Error::Generic { store: "upload", source: Box::new(error) })
    })?;
    begun.parts.push(part);
    Ok(())
}
