//! What can go wrong with a store. Errors name the store and the path, and say whether another try can help.

use crate::cause::Cause;

/// A failed access to a backup store. Carries no secret, and for that reason not the library's own error: its text holds
/// addresses and whole answers, and an answer may repeat what was sent.
#[derive(Debug, thiserror::Error)]
#[error("store `{store}` could not {verb} `{path}`: {reason}", reason = self.reason())]
pub struct StoreError {
    store: String,
    verb: &'static str,
    path: String,
    kind: StoreErrorKind,
    cause: Option<Cause>,
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
        Self { store: store.to_owned(), verb, path: path.to_owned(), kind, cause: None }
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
        tracing::debug!(store, verb, path, said = outline(&source), "the store failed");
        Self::because(store, verb, path, Cause::of(&source))
    }

    /// Builds an error from an input or output error of the operating system.
    pub(crate) fn from_io(store: &str, verb: &'static str, path: &str, source: std::io::Error) -> Self {
        Self::because(store, verb, path, Cause::of_io(&source))
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

/// The library's words up to the provider's answer, of which the cause has kept what is safe.
fn outline(error: &object_store::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(['<', '{', '?']).next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str);

    #[test]
    fn nothing_of_a_providers_answer_but_its_code_and_message_is_shown_anywhere() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code>\
                    <Message>no</Message><CanonicalRequest>x-amz-security-token:s3cret</CanonicalRequest></Error>";
        let source = object_store::Error::Generic { store: "S3", source: Box::new(Said(body)) };
        assert!(!outline(&source).contains("s3cret"), "{}", outline(&source));
        let error = StoreError::from_library("main", "read", "p/a", source);
        assert!(error.source().is_none());
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(error.cause(), Some(&Cause::BadSignature));
    }
}
