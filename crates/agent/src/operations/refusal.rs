//! Why a request is refused. The statuses of HTTP are given to these elsewhere, see `crate::error`.

use super::journal::JournalError;

/// A request that changed nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Never heard of it.
    #[error("no such operation")]
    NotFound,
    /// Something else runs.
    #[error("the operation {0} is running")]
    OperationRunning(String),
    /// A newer dispatch is known.
    #[error("epoch {asked} is lower than {known}, the newest seen")]
    StaleEpoch {
        /// In the request.
        asked: i64,
        /// Newest seen.
        known: i64,
    },
    /// Try again later.
    #[error("{0}")]
    Busy(&'static str),
    /// The request itself cannot be fulfilled.
    #[error("{field}: {reason}")]
    BadRequest {
        /// The field of the body, or `id` for the one in the path.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The agent's disk does not work.
    #[error("the operation cannot be recorded")]
    Journal(#[from] JournalError),
}

impl Refused {
    pub(crate) fn bad(field: &str, reason: impl Into<String>) -> Self {
        Self::BadRequest { field: field.to_owned(), reason: reason.into() }
    }
}
