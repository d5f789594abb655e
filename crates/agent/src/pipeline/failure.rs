//! Why an operation failed, in the words of the protocol.

use std::io;

use backup_objects::{InvalidName, MetadataError, StoreError};
use backup_protocol::OperationError;

use crate::drivers::DriverError;
use crate::session::Stop;

/// How an operation ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Ended by a `DELETE`.
    Cancelled,
    /// Ended by an error.
    Error(OperationError),
}

impl Failure {
    /// An error with one of the protocol's codes.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::Error(OperationError { code: code.to_owned(), message: message.into() })
    }

    /// What a stopped operation reports; `Failed` has its own report elsewhere.
    pub(crate) fn from_stop(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Self::Cancelled,
            Stop::TimedOut => Self::new("timed_out", "the deadline passed before the operation was complete"),
            Stop::Interrupted => Self::new("interrupted", "the agent was stopped during the operation"),
            Stop::Failed => Self::new("internal", "another part of the operation failed"),
        }
    }

    /// The stored stream breaks while it is undone. The bytes were those promised (they were hashed before), so it is
    /// their form that is wrong.
    pub(super) fn broken_stream(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionAborted => DriverError::Stopped.into(),
            _ => Self::new("decryption_failed", format!("the stored stream cannot be read: {error}")),
        }
    }

    /// The stored bytes are not those that were promised.
    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new("checksum_mismatch", message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Error(error) => f.write_str(&error.message),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new("store_error", error.to_string())
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::new("store_error", error.to_string())
    }
}

impl From<MetadataError> for Failure {
    fn from(error: MetadataError) -> Self {
        Self::new("store_error", error.to_string())
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::DataService { trouble, message } => Self::new(trouble.code(), message),
            DriverError::Content(_) => Self::new("bad_request", error.to_string()),
            DriverError::Stream(_) => Self::new("internal", error.to_string()),
            DriverError::Stopped => Self::from_stop(Stop::Failed),
        }
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::new("internal", "a thread of the agent ended unexpectedly; see the agent's log")
    }
}
