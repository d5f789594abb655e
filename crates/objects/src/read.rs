//! Reading a large object piece by piece. Each piece is its own ranged request, so that a broken connection costs one
//! piece and memory does not depend on the object's size.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::error::{StoreError, StoreErrorKind};
use crate::store::Store;

const PIECE: u64 = 4 * 1024 * 1024;

/// The bytes of an object, or of a range of it, in order.
pub struct ObjectStream {
    size: u64,
    pieces: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl ObjectStream {
    pub(crate) fn new(
        store: Store,
        path: &str,
        location: Path,
        object_size: u64,
        range: Option<Range<u64>>,
    ) -> Self {
        let range = range.unwrap_or(0..object_size);
        let end = range.end.min(object_size);
        let start = range.start.min(end);
        let path = path.to_owned();
        let offsets = stream::iter(std::iter::successors(Some(start), |at| at.checked_add(PIECE)))
            .take_while(move |at| std::future::ready(*at < end));
        let pieces = offsets
            .map(move |at| {
                let piece = at..at.saturating_add(PIECE).min(end);
                let (store, path, location) = (store.clone(), path.clone(), location.clone());
                async move { read_piece(&store, &path, &location, piece).await }
            })
            // One piece is fetched while the one before is used.
            .buffered(2)
            .boxed();
        Self { size: end.saturating_sub(start), pieces }
    }

    /// How many bytes the whole stream has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, or none at the end.
    ///
    /// # Errors
    /// When the store fails or holds fewer bytes than it said.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.pieces.try_next().await
    }

    /// The same as a [`futures_util::Stream`], for example as the body of an answer.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, StoreError>> {
        self.pieces
    }
}

impl Store {
    /// Reads a range of an object in one request.
    ///
    /// # Errors
    /// When the store fails or holds fewer bytes than asked for.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        read_piece(self, path, &self.location("read", path)?, range).await
    }
}

async fn read_piece(
    store: &Store,
    path: &str,
    location: &Path,
    piece: Range<u64>,
) -> Result<Bytes, StoreError> {
    let wanted = piece.end.saturating_sub(piece.start);
    // Asking for one range costs a local directory one turn on another thread, not two.
    let location = location.clone();
    let read = store.call(|inner| async move { inner.get_ranges(&location, &[piece]).await });
    let read = read.await.map_err(|e| store.failed("read", path, e))?;
    match read.into_iter().next() {
        Some(bytes) if u64::try_from(bytes.len()) == Ok(wanted) => Ok(bytes),
        _ => Err(StoreError::new(store.name(), "read all of", path, StoreErrorKind::Unavailable)),
    }
}
