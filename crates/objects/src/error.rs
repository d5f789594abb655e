//! What can go wrong with a store. Errors name the store and the path, and say whether another try can help.

use std::error::Error;

use crate::cause::Cause;

/// A failed access to a backup store. Carries no secret.
#[derive(Debug, thiserror::Error)]
#[error("store `{store}` could not {verb} `{path}`: {reason}", reason = self.reason())]
pub struct StoreError {
    store: String,
    verb: &'static str,
    path: String,
    kind: StoreErrorKind,
    cause: Option<Cause>,
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
    /// The store keeps the object: object lock, a retention policy or a legal hold.
    Locked,
    /// The configuration does not fit: no such bucket, wrong region, an unknown certificate authority.
    Misconfigured,
    /// After a deletion, objects were still listed.
    NotGone,
    /// Anything else, for example a full disk or a broken connection.
    Unavailable,
}

impl StoreError {
    /// Builds an error without a cause below it.
    pub(crate) fn new(store: &str, verb: &'static str, path: &str, kind: StoreErrorKind) -> Self {
        Self { store: store.to_owned(), verb, path: path.to_owned(), kind, cause: None, source: None }
    }

    /// Builds an error from the object store library's.
    pub(crate) fn from_library(
        store: &str,
        verb: &'static str,
        path: &str,
        source: object_store::Error,
    ) -> Self {
        if matches!(source, object_store::Error::InvalidPath { .. }) {
            return Self::new(store, verb, path, StoreErrorKind::InvalidName);
        }
        let cause = Cause::of(&source);
        Self { source: Some(Box::new(source)), ..Self::because(store, verb, path, cause) }
    }

    /// Builds an error from an input or output error of the operating system.
    pub(crate) fn from_io(store: &str, verb: &'static str, path: &str, source: std::io::Error) -> Self {
        let cause = Cause::of_io(&source);
        Self { source: Some(Box::new(source)), ..Self::because(store, verb, path, cause) }
    }

    /// Builds an error whose cause is known.
    pub(crate) fn because(store: &str, verb: &'static str, path: &str, cause: Cause) -> Self {
        let kind = match &cause {
            Cause::NotFound => StoreErrorKind::NotFound,
            Cause::AlreadyExists => StoreErrorKind::AlreadyExists,
            Cause::Denied(_)
            | Cause::NoCredentials(_)
            | Cause::UnknownKey
            | Cause::BadSignature
            | Cause::ClockSkew
            | Cause::Expired
            | Cause::Forbidden => StoreErrorKind::Denied,
            Cause::Locked => StoreErrorKind::Locked,
            Cause::NoBucket
            | Cause::WrongRegion(_)
            | Cause::UnknownAuthority
            | Cause::Tls(_)
            | Cause::Unsupported(_)
            | Cause::NoDirectory => StoreErrorKind::Misconfigured,
            _ => StoreErrorKind::Unavailable,
        };
        Self { cause: Some(cause), ..Self::new(store, verb, path, kind) }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What went wrong at the provider, where it is known.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable | StoreErrorKind::NotGone)
    }

    /// Says what is wrong, without naming store and path.
    pub fn reason(&self) -> String {
        match (self.kind, &self.cause) {
            (_, Some(cause)) => cause.sentence(),
            (StoreErrorKind::NotFound, _) => "it does not exist".to_owned(),
            (StoreErrorKind::AlreadyExists, _) => "it exists already".to_owned(),
            (StoreErrorKind::InvalidName, _) => "the name is not allowed".to_owned(),
            (StoreErrorKind::Denied, _) => "access denied".to_owned(),
            (StoreErrorKind::Locked, _) => "the object is protected against deletion".to_owned(),
            (StoreErrorKind::Misconfigured, _) => "the configuration does not fit".to_owned(),
            (StoreErrorKind::NotGone, _) => "objects are still there after their deletion".to_owned(),
            (StoreErrorKind::Unavailable, _) => "the store failed".to_owned(),
        }
    }
}
