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

/// An error as the client gets it: `{"error": "OneCamelCaseWord", "description": "A sentence."}`.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    error: &'static str,
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
    pub(crate) fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), headers: Vec::new() }
    }

    pub(crate) fn bad_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", description)
    }

    pub(crate) fn not_found(description: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", description)
    }

    pub(crate) fn forbidden(description: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", description)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::unauthorized_because("User name and password are needed and must be right.")
    }

    pub(crate) fn unauthorized_because(description: &str) -> Self {
        let challenge = HeaderValue::from_static("Basic realm=\"a9s Backup Manager\", charset=\"UTF-8\"");
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", description)
            .with_header(header::WWW_AUTHENTICATE, challenge)
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
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", description)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Cannot be served at the moment; the same request may be sent again.
    pub(crate) fn unavailable() -> Self {
        let description = "The backup manager cannot serve the request at the moment; try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", description)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// The shape for a status that the framework has chosen.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        let (error, description) = match status {
            StatusCode::NOT_FOUND => ("NotFound", "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => ("MethodNotAllowed", "The path does not support this method."),
            StatusCode::PAYLOAD_TOO_LARGE => ("PayloadTooLarge", "The body is too large."),
            StatusCode::REQUEST_TIMEOUT => ("RequestTimeout", "The request did not arrive in time."),
            status if status.is_server_error() => ("InternalServerError", INTERNAL),
            _ => ("BadRequest", "The request cannot be understood."),
        };
        Self::new(status, error, description)
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
        let mut answer = answer.json(Shape { error: self.error, description: &self.description });
        answer.extensions_mut().insert(ErrorWord(self.error));
        answer
    }
}

const INTERNAL: &str = "Something went wrong inside the backup manager; X-Request-Id finds it in its logs.";

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error, self.description)
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
        let (status, word) = class(&error);
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(error = chain(&error), "request failed");
                Self::new(status, word, INTERNAL)
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(error = chain(&error), "request could not be served for now");
                Self::unavailable()
            }
            StatusCode::BAD_GATEWAY => {
                tracing::error!(error = chain(&error), "request failed because of another party");
                Self::new(status, word, fault_of_others(&error))
            }
            _ => Self::new(status, word, sentence(&error)),
        }
    }
}

/// Status and word of each error of the core. No `_`: a new error has to be thought about here.
fn class(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::InstanceNotFound(_) | Error::BackupNotFound(_) | Error::RestoreNotFound(_) => {
            (StatusCode::NOT_FOUND, "NotFound")
        }
        Error::InstanceDeleted(_) => (StatusCode::GONE, "Gone"),
        Error::BackupInUse => (StatusCode::LOCKED, "Locked"),
        Error::BackupUnfinished(_) => (StatusCode::CONFLICT, "BackupInProgress"),
        Error::RestoreInProgress => (StatusCode::CONFLICT, "RestoreInProgress"),
        Error::InstanceBusy => (StatusCode::CONFLICT, "InstanceBusy"),
        Error::BackupNotRestorable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "BackupNonRestorableState"),
        Error::DataServiceMismatch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "DataServiceMismatch"),
        Error::NotDownloadable(_) => (StatusCode::FORBIDDEN, "NotDownloadable"),
        Error::NotUndeletable(_) => (StatusCode::CONFLICT, "NotUndeletable"),
        Error::NotCancellable(_) => (StatusCode::CONFLICT, "NotCancellable"),
        Error::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "InvalidValue"),
        Error::EncryptionKeyTooShort { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "EncryptionKeyTooShort"),
        Error::NothingToChange => (StatusCode::UNPROCESSABLE_ENTITY, "NothingToChange"),
        Error::AgentUnknown(_) => (StatusCode::CONFLICT, "AgentUnknown"),
        Error::Agent(_) => (StatusCode::BAD_GATEWAY, "BackupAgentFailed"),
        Error::Broker(_) => (StatusCode::BAD_GATEWAY, "ServiceBrokerFailed"),
        Error::Objects(_) => (StatusCode::BAD_GATEWAY, "BackupStoreFailed"),
        Error::DatabaseUnavailable(_) | Error::Conflict => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
        }
        Error::NotConfigured { .. }
        | Error::Cipher(_)
        | Error::LeaseLost
        | Error::StatusMove(_)
        | Error::Database(_)
        | Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
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
        assert_eq!((error.status, error.error), (StatusCode::BAD_REQUEST, "BadRequest"));
        let error = ApiError::of_deletion(Error::BackupInUse);
        assert_eq!((error.status, error.error), (StatusCode::LOCKED, "Locked"));
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
        assert_eq!((error.status, error.error), (StatusCode::BAD_GATEWAY, "BackupStoreFailed"));
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
