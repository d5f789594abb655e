//! A configured backup store. Objects are created once and never overwritten; what is deleted is confirmed to be gone.
//! Reading is in [`crate::ObjectStream`], writing of large objects in [`crate::Upload`].

use std::fmt;
use std::future::Future;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::bounds::Bounds;
use crate::cause::Cause;
use crate::config::StoreConfig;
use crate::error::{StoreError, StoreErrorKind};
use crate::layout::{OWNER_NAME, check_path};
use crate::metadata::METADATA_NAME;
use crate::open::{Connected, Multipart, connect};
use crate::read::ObjectStream;
use crate::retry::Retry;
use crate::unfinished::UploadRecord;
use crate::upload::Upload;

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Full path from the root of the store.
    pub path: String,
    /// Stored bytes.
    pub size: u64,
    /// When it was stored, by the store's clock.
    pub modified_at: DateTime<Utc>,
}

/// What the library knows of a provider.
type Provider = Arc<dyn ObjectStore>;

/// A backup store, opened by name. Cloning is cheap and shares connections. `Debug` shows name and kind alone, because a
/// connection holds credentials.
#[derive(Clone)]
pub struct Store {
    pub(crate) name: Arc<str>,
    kind: &'static str,
    pub(crate) inner: Arc<dyn ObjectStore>,
    /// Set for a local directory: its absolute path.
    pub(crate) directory: Option<Arc<FilePath>>,
    /// Set for a provider across the network.
    multipart: Option<Multipart>,
    bounds: Option<Bounds>,
    retry: Retry,
    pub(crate) record: Option<Arc<dyn UploadRecord>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store that the configuration calls `name`.
    ///
    /// # Errors
    /// A local directory must exist; other providers are first contacted when used.
    pub fn open(name: &str, config: &StoreConfig) -> Result<Self, StoreError> {
        Self::open_for_chunks(name, config, 0)
    }

    /// The same for one that uploads large objects: chunks of this size may take their time on a slow network.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_for_chunks(name: &str, config: &StoreConfig, chunk_size: usize) -> Result<Self, StoreError> {
        let Connected { inner, directory, multipart } = connect(name, config, chunk_size)?;
        Ok(Self { kind: config.kind(), directory, multipart, ..Self::over(name, inner) })
    }

    /// A store at a provider that is connected already; tests use it for stores that hang or fail.
    pub fn over(name: &str, inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            name: name.into(),
            kind: "other",
            inner,
            directory: None,
            multipart: None,
            bounds: None,
            retry: Retry::BRIEFLY,
            record: None,
        }
    }

    /// The same store with other patience for a provider that fails. What an opened store does by itself is
    /// [`Retry::BRIEFLY`]; a directory is never asked again.
    #[must_use]
    pub fn retrying(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// The same store with at most `calls` calls at once; one that has not ended after `patience`, the wait for its turn
    /// included, fails. Uploads are not bounded.
    #[must_use]
    pub fn bounded(self, calls: usize, patience: Duration) -> Self {
        Self { bounds: Some(Bounds::new(calls, patience)), ..self }
    }

    /// The name the configuration gives this store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in the word of the configuration: `local`, `s3`, `azure` or `gcs`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The largest object that [`Store::upload`] can make of chunks of this size.
    pub fn largest_object(&self, chunk_size: usize) -> u64 {
        let chunk_size = u64::try_from(chunk_size).unwrap_or(u64::MAX);
        self.multipart.as_ref().map_or(u64::MAX, |multipart| chunk_size.saturating_mul(multipart.most_chunks))
    }

    /// Creates a small object in one piece.
    ///
    /// # Errors
    /// [`StoreErrorKind::AlreadyExists`] when the object is there already; it is left as it is.
    pub async fn put_bytes(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put(path, bytes.into()).await
    }

    pub(crate) async fn put(&self, path: &str, payload: PutPayload) -> Result<(), StoreError> {
        let location = self.location("create", path)?;
        let put = move |inner: Provider, failures: u32| {
            let (location, payload) = (location.clone(), payload.clone());
            async move { create(&*inner, &location, payload, failures).await }
        };
        self.call_again(put).await.map_err(|e| self.failed("create", path, e))
    }

    /// Begins a large object that arrives in pieces of `chunk_size` bytes. See [`Upload`].
    ///
    /// # Errors
    /// [`StoreErrorKind::AlreadyExists`] when the object is there already; it is left as it is.
    pub async fn upload(&self, path: &str, chunk_size: usize) -> Result<Upload, StoreError> {
        Upload::begin(self.clone(), path, chunk_size).await
    }

    /// The size of an object in bytes, or none when it does not exist.
    ///
    /// # Errors
    /// Any failure but absence.
    pub async fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        let location = self.location("look at", path)?;
        match self.call(move |inner| look(inner, location.clone())).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look at", path, error)),
        }
    }

    /// Reads a small object as a whole, for example a `metadata.json`. Refuses one above `limit` bytes.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] when it does not exist.
    pub async fn get_bytes(&self, path: &str, limit: u64) -> Result<Bytes, StoreError> {
        let location = self.location("read", path)?;
        let get = move |inner: Provider| {
            let location = location.clone();
            async move {
                let answer = inner.get(&location).await?;
                let size = answer.meta.size;
                if size > limit { Ok(Err(size)) } else { answer.bytes().await.map(Ok) }
            }
        };
        self.call(get).await.map_err(|e| self.failed("read", path, e))?.map_err(|size| {
            let source = std::io::Error::other(format!("it has {size} bytes, at most {limit} are allowed"));
            StoreError::from_io(&self.name, "read", path, source)
        })
    }

    /// Opens an object for reading, the whole or the given range of bytes.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] when it does not exist.
    pub async fn get_stream(
        &self,
        path: &str,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<ObjectStream, StoreError> {
        let size = self.size(path).await?;
        let size = size.ok_or_else(|| StoreError::new(&self.name, "read", path, StoreErrorKind::NotFound))?;
        Ok(ObjectStream::new(self.clone(), path, self.location("read", path)?, size, range))
    }

    /// Lists all objects below a folder, at any depth, in the order of their paths.
    ///
    /// # Errors
    /// A folder that does not exist is an empty list, not an error.
    pub async fn list(&self, folder: &str) -> Result<Vec<Object>, StoreError> {
        let location = self.location("list", folder)?;
        let list = move |inner: Provider| {
            let location = location.clone();
            async move { inner.list(Some(&location)).try_collect::<Vec<_>>().await }
        };
        let mut objects: Vec<Object> = self
            .call(list)
            .await
            .map_err(|e| self.failed("list", folder, e))?
            .into_iter()
            .map(|meta| Object {
                path: meta.location.to_string(),
                size: meta.size,
                modified_at: meta.last_modified,
            })
            .collect();
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(objects)
    }

    /// The names of the folders directly below a folder, in their order. Objects are not looked at, so that this costs
    /// one name per folder however much is in them.
    ///
    /// # Errors
    /// A folder that does not exist has none; that is not an error.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let location = self.location("list", folder)?;
        let list = move |inner: Provider| {
            let location = location.clone();
            async move { inner.list_with_delimiter(Some(&location)).await }
        };
        let found = match self.call(list).await {
            Ok(found) => found.common_prefixes,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(self.failed("list", folder, error)),
        };
        let mut names: Vec<String> =
            found.iter().filter_map(|path| Some(path.parts().next_back()?.as_ref().to_owned())).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes one object. One that is already absent counts as deleted.
    ///
    /// # Errors
    /// Any failure but absence.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        let location = self.location("delete", path)?;
        let delete = move |inner: Provider| {
            let location = location.clone();
            async move { inner.delete(&location).await }
        };
        match self.call(delete).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", path, error)),
        }
    }

    /// Deletes everything below a folder, unfinished uploads included, and confirms with a listing that it is gone. The
    /// metadata goes first, so that half a backup is never taken for a whole one, and the owner last.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotGone`] when something is still listed afterwards.
    pub async fn delete_prefix(&self, folder: &str) -> Result<(), StoreError> {
        let mut objects = self.list(folder).await?;
        objects.sort_by_key(|object| turn(&object.path));
        for object in objects {
            #[expect(clippy::disallowed_methods, reason = "the caller has been asked already")]
            self.delete(&object.path).await?;
        }
        self.remove_directory(folder).await?;
        match self.list(folder).await?.is_empty() {
            true => Ok(()),
            false => Err(StoreError::new(&self.name, "delete", folder, StoreErrorKind::NotGone)),
        }
    }

    /// In a local directory, unfinished uploads are files that listings hide; they go with their directory.
    async fn remove_directory(&self, folder: &str) -> Result<(), StoreError> {
        let Some(root) = &self.directory else { return Ok(()) };
        let directory: PathBuf = root.join(folder);
        let remove = |directory: PathBuf| {
            match std::fs::remove_dir_all(&directory) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            // The nearest directory that still exists is the one whose entry went.
            let left = directory.ancestors().skip(1).find(|d| d.is_dir());
            match left.map_or(Ok(()), |d| std::fs::File::open(d)?.sync_all()) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
                synced => synced,
            }
        };
        let removing = async move { Ok(tokio::task::spawn_blocking(move || remove(directory)).await) };
        let removed = self.within_bounds(removing).await;
        let removed = removed.map_err(|e| self.failed("delete", folder, e))?;
        removed
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| StoreError::from_io(&self.name, "delete", folder, e))
    }

    /// Asks the provider for something, again if it fails in a way that passes, within the bounds if there are any.
    pub(crate) async fn call<T, F>(
        &self,
        mut ask: impl FnMut(Provider) -> F + Send + 'static,
    ) -> object_store::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        self.call_again(move |inner, _| ask(inner)).await
    }

    /// The same for what must know how often it has failed before.
    async fn call_again<T, F>(
        &self,
        mut ask: impl FnMut(Provider, u32) -> F + Send + 'static,
    ) -> object_store::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let (inner, retry) = (Arc::clone(&self.inner), self.retry);
        let asked = async move { retry.run(|failures| ask(Arc::clone(&inner), failures)).await };
        self.within_bounds(asked).await
    }

    pub(crate) async fn within_bounds<T: Send + 'static>(
        &self,
        call: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> object_store::Result<T> {
        match &self.bounds {
            Some(bounds) => bounds.keep(call).await,
            None => call.await,
        }
    }

    pub(crate) fn retry(&self) -> Retry {
        self.retry
    }

    pub(crate) fn multipart(&self) -> Option<&Multipart> {
        self.multipart.as_ref()
    }

    /// Checks a path and turns it into the library's type.
    pub(crate) fn location(&self, verb: &'static str, path: &str) -> Result<Path, StoreError> {
        let invalid = || StoreError::new(&self.name, verb, path, StoreErrorKind::InvalidName);
        check_path("path", path).map_err(|_| invalid())?;
        Path::parse(path).map_err(|_| invalid())
    }

    pub(crate) fn failed(&self, verb: &'static str, path: &str, error: object_store::Error) -> StoreError {
        StoreError::from_library(&self.name, verb, path, error)
    }

    /// Whether large objects are first written under another name and then put in place without overwriting.
    pub(crate) fn is_local(&self) -> bool {
        self.directory.is_some()
    }
}

async fn look(inner: Provider, location: Path) -> object_store::Result<ObjectMeta> {
    inner.head(&location).await
}

/// Creates an object that must not exist. An earlier attempt whose answer was lost may have done it: then it has exactly
/// these bytes, and names are never used for anything else.
async fn create(
    inner: &dyn ObjectStore,
    location: &Path,
    payload: PutPayload,
    failures: u32,
) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match inner.put_opts(location, payload.clone(), options).await {
        Err(refused) if failures > 0 && Cause::of(&refused) == Cause::AlreadyExists => {
            let there = inner.get(location).await?.bytes().await?;
            if there == Bytes::from(payload) { Ok(()) } else { Err(refused) }
        }
        put => put.map(drop),
    }
}

/// When an object goes, among those of a folder.
fn turn(path: &str) -> u8 {
    match path.rsplit('/').next() {
        Some(METADATA_NAME) => 0,
        Some(OWNER_NAME) => 2,
        _ => 1,
    }
}
