//! Why a service broker's listing is not usable. Whatever the reason: it changes nothing.

/// A failed listing. Carries neither URLs nor secrets.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection, a broken one, or no answer in time.
    #[error("the service broker cannot be reached")]
    Unreachable {
        /// What the HTTP library said, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// A status other than 200.
    #[error("the service broker answered with status {status}: {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Beginning of the body.
        text: String,
    },
    /// A page that is not what spec 2.6 describes.
    #[error("page {page} of the service broker's listing is not readable: {detail}")]
    Unreadable {
        /// Which page.
        page: u32,
        /// What is wrong.
        detail: String,
    },
    /// Pages that do not add up to one listing.
    #[error("the service broker's listing is incomplete: {detail}")]
    Incomplete {
        /// What does not add up.
        detail: String,
    },
    /// A resource the manager cannot tell apart or must not believe.
    #[error("the service broker lists an unusable instance: {detail}")]
    BadInstance {
        /// Which one and why.
        detail: String,
    },
}

impl BrokerError {
    pub(super) fn unreachable(source: reqwest::Error) -> Self {
        Self::Unreachable { source: source.without_url() }
    }

    pub(super) fn unreadable(page: u32, detail: impl Into<String>) -> Self {
        Self::Unreadable { page, detail: detail.into() }
    }

    pub(super) fn incomplete(detail: impl Into<String>) -> Self {
        Self::Incomplete { detail: detail.into() }
    }
}
