//! Reading a large object piece by piece. Each piece is its own ranged request, so that memory does not
//! depend on the object's size; a download that breaks off goes on at the byte where it stopped.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore};

use crate::error::{StoreError, StoreErrorKind};
use crate::retry::{Patience, Retry};
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
    let location = location.clone();
    let read = match store.multipart() {
        // Asking for one range costs a local directory one turn on another thread, not two.
        None => {
            let read = move |inner: Arc<dyn ObjectStore>| {
                let (location, piece) = (location.clone(), piece.clone());
                async move { inner.get_ranges(&location, &[piece]).await }
            };
            store.call(read).await.map(|read| read.into_iter().next().unwrap_or_default())
        }
        Some(_) => {
            let reading = resume(Arc::clone(&store.inner), store.retry(), location, piece);
            store.within_bounds(reading).await
        }
    };
    match read.map_err(|e| store.failed("read", path, e))? {
        bytes if u64::try_from(bytes.len()) == Ok(wanted) => Ok(bytes),
        _ => Err(StoreError::new(store.name(), "read all of", path, StoreErrorKind::Unavailable)),
    }
}

/// Reads a piece; when the connection breaks, the rest is asked for, not the whole again.
async fn resume(
    inner: Arc<dyn ObjectStore>,
    retry: Retry,
    location: Path,
    piece: Range<u64>,
) -> object_store::Result<Bytes> {
    let mut got =
        BytesMut::with_capacity(usize::try_from(piece.end.saturating_sub(piece.start)).unwrap_or(0));
    let mut patience = Patience::new(retry);
    loop {
        let before = got.len();
        let start = piece.start.saturating_add(u64::try_from(before).unwrap_or(u64::MAX));
        match more(&*inner, &location, start..piece.end, &mut got).await {
            Ok(()) => return Ok(got.freeze()),
            Err(error) => {
                if got.len() > before {
                    patience.renew();
                }
                patience.after(error).await?;
            }
        }
    }
}

async fn more(
    inner: &dyn ObjectStore,
    location: &Path,
    range: Range<u64>,
    got: &mut BytesMut,
) -> object_store::Result<()> {
    let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
    let mut stream = inner.get_opts(location, options).await?.into_stream();
    while let Some(bytes) = stream.try_next().await? {
        got.extend_from_slice(&bytes);
    }
    Ok(())
}
