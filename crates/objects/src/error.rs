//! What can go wrong with a store. Errors name the store and the path, and say whether another try can help.

use std::error::Error;

/// A failed access to a backup store. Carries no secret.
#[derive(Debug, thiserror::Error)]
#[error("store `{store}` could not {verb} `{path}`: {reason}", reason = self.reason())]
pub struct StoreError {
    store: String,
    verb: &'static str,
    path: String,
    kind: StoreErrorKind,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of trouble a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The object does not exist.
    NotFound,
    /// The object exists already; stored objects are never overwritten.
    AlreadyExists,
    /// The name is not one this product would ever give.
    InvalidName,
    /// The store refuses the credentials or the access.
    Denied,
    /// After a deletion, objects were still listed.
    NotGone,
    /// Anything else, for example a full disk or a broken connection.
    Unavailable,
}

impl StoreError {
    /// Builds an error without a cause below it.
    pub(crate) fn new(store: &str, verb: &'static str, path: &str, kind: StoreErrorKind) -> Self {
        Self { store: store.to_owned(), verb, path: path.to_owned(), kind, source: None }
    }

    /// Builds an error from the object store library's.
    pub(crate) fn from_library(
        store: &str,
        verb: &'static str,
        path: &str,
        source: object_store::Error,
    ) -> Self {
        use object_store::Error as Library;
        let kind = match &source {
            Library::NotFound { .. } => StoreErrorKind::NotFound,
            Library::AlreadyExists { .. } | Library::Precondition { .. } => StoreErrorKind::AlreadyExists,
            Library::InvalidPath { .. } => StoreErrorKind::InvalidName,
            Library::PermissionDenied { .. } | Library::Unauthenticated { .. } => StoreErrorKind::Denied,
            _ => StoreErrorKind::Unavailable,
        };
        Self { source: Some(Box::new(source)), ..Self::new(store, verb, path, kind) }
    }

    /// Builds an error from an input or output error of the operating system.
    pub(crate) fn from_io(store: &str, verb: &'static str, path: &str, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::NotFound => StoreErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => StoreErrorKind::Denied,
            _ => StoreErrorKind::Unavailable,
        };
        Self { source: Some(Box::new(source)), ..Self::new(store, verb, path, kind) }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable | StoreErrorKind::NotGone)
    }

    /// Says what the kind means; the innermost cause is added for the open-ended kinds.
    fn reason(&self) -> String {
        match self.kind {
            StoreErrorKind::NotFound => "it does not exist".to_owned(),
            StoreErrorKind::AlreadyExists => "it exists already".to_owned(),
            StoreErrorKind::InvalidName => "the name is not allowed".to_owned(),
            StoreErrorKind::Denied => format!("access denied{}", self.innermost()),
            StoreErrorKind::NotGone => "objects are still there after their deletion".to_owned(),
            StoreErrorKind::Unavailable => format!("the store failed{}", self.innermost()),
        }
    }

    fn innermost(&self) -> String {
        let mut cause: Option<&(dyn Error + 'static)> = match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        };
        let mut text = String::new();
        while let Some(error) = cause {
            text = format!(": {error}");
            cause = error.source();
        }
        text
    }
}
