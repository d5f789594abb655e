//! Reading a large object piece by piece. Each piece is its own ranged request, so that memory does not
//! depend on the object's size; a download that breaks off goes on at the byte where it stopped.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore};

use crate::error::{StoreError, StoreErrorKind};
use crate::retry::{Patience, Retry};
use crate::store::Store;

const PIECE: u64 = 4 * 1024 * 1024;
/// A download that has got on by so much has its whole patience again. Less would let a store that breaks every connection
/// after a few bytes keep us for ever.
const SUBSTANTIAL: usize = 256 * 1024;

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
    let wanted = usize::try_from(piece.end.saturating_sub(piece.start)).unwrap_or(0);
    let mut got = BytesMut::with_capacity(wanted);
    let mut patience = Patience::new(retry);
    let mut renewed_at = 0_usize;
    loop {
        let start = piece.start.saturating_add(u64::try_from(got.len()).unwrap_or(u64::MAX));
        match more(&*inner, &location, start..piece.end, &mut got).await {
            Ok(()) => return Ok(got.freeze()),
            // It broke after the last byte; there is nothing left to ask for.
            Err(_) if wanted > 0 && got.len() >= wanted => return Ok(got.freeze()),
            Err(error) => {
                if got.len().saturating_sub(renewed_at) >= SUBSTANTIAL {
                    renewed_at = got.len();
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
    let answer = inner.get_opts(location, options).await?;
    let promised = answer.range.end.saturating_sub(answer.range.start);
    let (mut stream, mut received) = (answer.into_stream(), 0_u64);
    while let Some(bytes) = stream.try_next().await? {
        received = received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        got.extend_from_slice(&bytes);
    }
    // Not every protocol and proxy makes an error of an answer that ends before its time.
    match received < promised {
        true => Err(ends_early()),
        false => Ok(()),
    }
}

fn ends_early() -> Error {
    let source = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the answer ended early");
    Error::Generic { store: "download", source: Box::new(HttpError::new(HttpErrorKind::Interrupted, source)) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use futures_util::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::{
        CopyOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStoreExt,
        PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    };

    use super::*;

    /// Ends every answer after so many bytes, with an error or without.
    #[derive(Debug)]
    struct Breaking {
        inner: InMemory,
        after: usize,
        with_error: bool,
    }

    impl std::fmt::Display for Breaking {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("breaking")
        }
    }

    #[async_trait]
    impl ObjectStore for Breaking {
        async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
            self.inner.put_opts(at, payload, options).await
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.inner.put_multipart_opts(at, options).await
        }

        async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
            let answer = self.inner.get_opts(at, options).await?;
            let (meta, range) = (answer.meta.clone(), answer.range.clone());
            let (attributes, extensions) = (answer.attributes.clone(), answer.extensions.clone());
            let bytes = answer.bytes().await?;
            let sent = Ok(bytes.slice(..bytes.len().min(self.after)));
            let end = self.with_error.then(|| Err(ends_early()));
            let payload = GetResultPayload::Stream(stream::iter(std::iter::once(sent).chain(end)).boxed());
            Ok(GetResult { payload, meta, range, attributes, extensions })
        }

        fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            self.inner.delete_stream(at)
        }

        fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.inner.list(below)
        }

        async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
            self.inner.list_with_delimiter(below).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.inner.copy_opts(from, to, options).await
        }
    }

    const SIZE: usize = 1000;

    fn brief() -> Retry {
        let pause = Duration::from_millis(4);
        Retry { total: Duration::from_millis(500), first: pause, longest: pause }
    }

    async fn read(after: usize, with_error: bool, retry: Retry) -> Result<Bytes> {
        let (inner, at) = (InMemory::new(), Path::from("p/a"));
        inner.put(&at, vec![7; SIZE].into()).await.unwrap();
        resume(Arc::new(Breaking { inner, after, with_error }), retry, at, 0..1000).await
    }

    #[tokio::test]
    async fn a_break_after_the_last_byte_of_a_piece_costs_nothing() {
        assert_eq!(read(SIZE, true, Retry::NEVER).await.unwrap().len(), SIZE);
    }

    #[tokio::test]
    async fn an_answer_that_ends_early_without_an_error_goes_on_at_the_byte() {
        assert_eq!(read(300, false, brief()).await.unwrap(), vec![7; SIZE]);
        assert!(read(300, false, Retry::NEVER).await.is_err());
    }

    #[tokio::test]
    async fn a_few_bytes_at_a_time_do_not_buy_more_time() {
        assert!(read(1, true, brief()).await.is_err(), "a thousand pauses would take seconds");
    }
}
