//! The one shape of errors on the wire, and the one place that knows which error of the core has which status.
//! What the client reads and what the operator reads are two texts: ours are logged here, and answered in general terms.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use backup_core::Error;
use backup_daemon::exit::chain;
use serde::Serialize;

use crate::word::Word;

/// An error as the client gets it: `{"error": "OneCamelCaseWord", "description": "A sentence."}`.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    word: Word,
    description: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The word of an error, left with the answer for the access log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorWord(pub(crate) &'static str);

#[derive(Serialize)]
struct Shape<'a> {
    error: &'a str,
    description: &'a str,
}

impl ApiError {
    pub(crate) fn new(word: Word, description: impl Into<String>) -> Self {
        Self { status: word.status(), word, description: description.into(), headers: Vec::new() }
    }

    pub(crate) fn bad_request(description: impl Into<String>) -> Self {
        Self::new(Word::BadRequest, description)
    }

    pub(crate) fn not_found(description: impl Into<String>) -> Self {
        Self::new(Word::NotFound, description)
    }

    pub(crate) fn forbidden(description: &str) -> Self {
        Self::new(Word::Forbidden, description)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::unauthorized_because("User name and password are needed and must be right.")
    }

    pub(crate) fn unauthorized_because(description: &str) -> Self {
        let challenge = HeaderValue::from_static("Basic realm=\"a9s Backup Manager\", charset=\"UTF-8\"");
        Self::new(Word::Unauthorized, description).with_header(header::WWW_AUTHENTICATE, challenge)
    }

    /// Says that a bearer token would be accepted, too, and what was wrong with one (RFC 6750).
    pub(crate) fn with_bearer_challenge(self, error: Option<&'static str>) -> Self {
        let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
        match HeaderValue::from_str(&format!("Bearer realm=\"a9s Backup Manager\"{error}")) {
            Ok(challenge) => self.with_header(header::WWW_AUTHENTICATE, challenge),
            Err(_) => self,
        }
    }

    /// Has to wait for so long, in whole seconds.
    pub(crate) fn too_many_requests(description: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        Self::new(Word::TooManyRequests, description)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Cannot be served at the moment; the same request may be sent again.
    pub(crate) fn unavailable() -> Self {
        let description = "The backup manager cannot serve the request at the moment; try again later.";
        Self::new(Word::ServiceUnavailable, description)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// The shape for a status that the framework has chosen.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        let (word, description) = match status {
            StatusCode::NOT_FOUND => (Word::NotFound, "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => {
                (Word::MethodNotAllowed, "The path does not support this method.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => (Word::PayloadTooLarge, "The body is too large."),
            StatusCode::REQUEST_TIMEOUT => (Word::RequestTimeout, "The request did not arrive in time."),
            status if status.is_server_error() => (Word::InternalServerError, INTERNAL),
            _ => (Word::BadRequest, "The request cannot be understood."),
        };
        Self { status, ..Self::new(word, description) }
    }

    /// A failed deletion: known clients expect 400 when the store refused it.
    pub(crate) fn of_deletion(error: Error) -> Self {
        match error {
            Error::Objects(refusal) => {
                tracing::warn!(
                    error = chain(&refusal),
                    "the store refused a deletion; it will be tried again"
                );
                let description = "The backup store refused the deletion; it will be tried again.";
                Self::bad_request(description)
            }
            other => other.into(),
        }
    }

    /// Renders it.
    pub(crate) fn answer(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        for header in &self.headers {
            answer.append_header(header.clone());
        }
        let mut answer = answer.json(Shape { error: self.word.as_str(), description: &self.description });
        answer.extensions_mut().insert(ErrorWord(self.word.as_str()));
        answer
    }
}

const INTERNAL: &str = "Something went wrong inside the backup manager; X-Request-Id finds it in its logs.";

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word.as_str(), self.description)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.answer()
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let word = word(&error);
        match word.status() {
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(error = chain(&error), "request failed");
                Self::new(word, INTERNAL)
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(error = chain(&error), "request could not be served for now");
                Self::unavailable()
            }
            StatusCode::BAD_GATEWAY => {
                tracing::error!(error = chain(&error), "request failed because of another party");
                Self::new(word, fault_of_others(&error))
            }
            _ => Self::new(word, sentence(&error)),
        }
    }
}

/// The word of each error of the core. No `_`: a new error has to be thought about here.
fn word(error: &Error) -> Word {
    match error {
        Error::InstanceNotFound(_)
        | Error::BackupNotFound(_)
        | Error::RestoreNotFound(_)
        | Error::RehearsalNotFound(_)
        | Error::RebuildNotFound(_)
        | Error::ReconciliationNotFound(_)
        | Error::NoReconciliation
        | Error::NoWindow(_) => Word::NotFound,
        Error::InstanceDeleted(_) => Word::Gone,
        Error::BackupInUse | Error::BackupHeld { .. } | Error::BackupNeeded { .. } => Word::Locked,
        Error::NotHoldable(_) => Word::NotHoldable,
        Error::HoldOfOperators(_) => Word::Forbidden,
        Error::BackupUnfinished(_) => Word::BackupInProgress,
        Error::RestoreInProgress => Word::RestoreInProgress,
        Error::InstanceBusy => Word::InstanceBusy,
        Error::BackupNotRestorable { .. } => Word::BackupNonRestorableState,
        Error::DataServiceMismatch { .. } => Word::DataServiceMismatch,
        Error::NotDownloadable(_) => Word::NotDownloadable,
        Error::NotUndeletable(_) => Word::NotUndeletable,
        Error::NotCancellable(_) => Word::NotCancellable,
        Error::Invalid { .. } | Error::OutsideWindow { .. } => Word::InvalidValue,
        Error::EncryptionKeyTooShort { .. } => Word::EncryptionKeyTooShort,
        Error::NothingToChange => Word::NothingToChange,
        Error::AgentUnknown(_) => Word::AgentUnknown,
        Error::Agent(_) => Word::BackupAgentFailed,
        Error::Broker(_) => Word::ServiceBrokerFailed,
        Error::Objects(_) => Word::BackupStoreFailed,
        Error::DatabaseUnavailable(_) | Error::Conflict => Word::ServiceUnavailable,
        Error::NotConfigured { .. }
        | Error::Cipher(_)
        | Error::LeaseLost
        | Error::StatusMove(_)
        | Error::Database(_)
        | Error::Internal(_) => Word::InternalServerError,
    }
}

/// Names of stores, paths and what agents say are the operator's business.
fn fault_of_others(error: &Error) -> &'static str {
    match error {
        Error::Agent(_) => "The backup agent of the instance failed or cannot be reached; try again later.",
        Error::Broker(_) => "The service broker failed or cannot be reached; try again later.",
        _ => "The backup store failed or cannot be reached; try again later.",
    }
}

/// The core's clause as a sentence.
fn sentence(error: &Error) -> String {
    let clause = chain(error);
    // A clause that opens with the name of a field keeps it as it is on the wire.
    let opens_with_field = clause.split(' ').next().is_some_and(|word| word.contains('_'));
    let mut letters = clause.chars();
    match letters.next() {
        Some(first) if !opens_with_field => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        _ => format!("{clause}."),
    }
}

#[cfg(test)]
mod tests {
    use backup_core::domain::identifiers::BackupId;
    use backup_core::objects::{Store, StoreConfig};

    use super::*;

    #[test]
    fn a_deletion_that_the_store_refused_is_a_bad_request_as_known_clients_expect() {
        let refusal =
            Store::open("s", &StoreConfig::Local { directory: "/nowhere/at/all".into() }).unwrap_err();
        let error = ApiError::of_deletion(Error::Objects(refusal));
        assert_eq!((error.status, error.word), (StatusCode::BAD_REQUEST, Word::BadRequest));
        let error = ApiError::of_deletion(Error::BackupInUse);
        assert_eq!((error.status, error.word), (StatusCode::LOCKED, Word::Locked));
    }

    #[test]
    fn what_the_operator_reads_in_the_log_is_not_told_to_the_client() {
        for error in
            [Error::Database("relation secret".into()), Error::DatabaseUnavailable("host secret".into())]
        {
            assert!(!ApiError::from(error).description.contains("secret"));
        }
    }

    #[test]
    fn the_fault_of_another_party_is_told_without_names_paths_and_words_of_it() {
        let refusal =
            Store::open("s3cret", &StoreConfig::Local { directory: "/nowhere/at/all".into() }).unwrap_err();
        let error = ApiError::from(Error::Objects(refusal));
        assert_eq!((error.status, error.word.as_str()), (StatusCode::BAD_GATEWAY, "BackupStoreFailed"));
        assert_eq!(error.description, "The backup store failed or cannot be reached; try again later.");
    }

    #[test]
    fn clauses_become_sentences() {
        assert_eq!(sentence(&Error::InstanceNotFound("x".into())), "The instance x was not found.");
        assert_eq!(sentence(&Error::BackupNotFound(BackupId(3))), "The backup 3 was not found.");
        let short = Error::EncryptionKeyTooShort { found: 3, allowed: 8 };
        assert!(sentence(&short).starts_with("encryption_key has 3 characters"));
    }
}
