//! What can go wrong between the manager and a backup agent, and whether asking again can help.

use std::time::Duration;

use backup_protocol::Refusal;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::clients::http::tame;

/// An agent may ask for this much patience at most.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Why an agent did not answer as hoped. Carries neither URLs nor secrets.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No connection, a broken one, or no answer in time.
    #[error("the backup agent cannot be reached")]
    Unreachable {
        /// What the HTTP library said, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// 429: it has no room for another operation.
    #[error("the backup agent is busy")]
    Busy {
        /// How long it asks to wait; at most an hour.
        retry_after: Option<Duration>,
    },
    /// 409: it works on something else.
    #[error("the backup agent works on another operation, {id}")]
    OtherOperationRunning {
        /// The operation that runs.
        id: String,
    },
    /// 409: it has seen a newer dispatch of this operation.
    #[error("the backup agent has seen a newer dispatch of this operation")]
    StaleEpoch {
        /// The newest epoch it says it has seen; never believed without a bound.
        newest: Option<i64>,
    },
    /// Another 4xx: the same request will be refused again.
    #[error("the backup agent refused with status {status} ({code}): {description}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The refusal's word.
        code: String,
        /// The refusal's sentence.
        description: String,
    },
    /// 5xx: its own trouble.
    #[error("the backup agent failed with status {status} ({code}): {description}")]
    Failed {
        /// HTTP status.
        status: u16,
        /// The refusal's word.
        code: String,
        /// The refusal's sentence.
        description: String,
    },
    /// An answer the protocol does not allow.
    #[error("the backup agent's answer breaks the protocol: {detail}")]
    Protocol {
        /// What is wrong with it.
        detail: String,
    },
}

impl AgentError {
    /// Tells whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::OtherOperationRunning { .. }
            | Self::Failed { .. }
            | Self::Protocol { .. } => true,
            Self::StaleEpoch { .. } | Self::Rejected { .. } => false,
        }
    }

    /// Tells whether the request certainly did not reach the agent: no connection stood.
    #[must_use]
    pub fn is_undelivered(&self) -> bool {
        matches!(self, Self::Unreachable { source } if source.is_connect())
    }

    pub(super) fn unreachable(source: reqwest::Error) -> Self {
        Self::Unreachable { source: source.without_url() }
    }

    /// The agent does not make backups of this type; nothing was asked of it.
    pub(crate) fn unable(backup_type: &str) -> Self {
        let description = format!("the agent makes no backups of the type {backup_type}");
        Self::Rejected { status: 400, code: "UnknownBackupType".to_owned(), description }
    }

    pub(super) fn protocol(detail: impl Into<String>) -> Self {
        Self::Protocol { detail: detail.into() }
    }
}

/// Turns every answer that is not the hoped-for one into an error.
pub(super) fn refusal(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> AgentError {
    let said = serde_json::from_slice::<Refusal>(body).ok();
    let code = said.as_ref().map_or_else(|| "unknown".to_owned(), |r| tame(&r.error));
    let description =
        said.as_ref().map_or_else(|| "the answer gives no reason".to_owned(), |r| tame(&r.description));
    if status == StatusCode::CONFLICT && code == "StaleEpoch" {
        return AgentError::StaleEpoch { newest: said.and_then(|r| r.newest_epoch) };
    }
    if status == StatusCode::CONFLICT && code == "OperationRunning" {
        let id = said.and_then(|r| r.running_id).map_or_else(|| "unknown".to_owned(), |id| tame(&id));
        return AgentError::OtherOperationRunning { id };
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => AgentError::Busy { retry_after },
        // A proxy's word for "too slow" or "not yet"; neither is a judgement on the request.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            AgentError::Failed { status: status.as_u16(), code, description }
        }
        other if other.is_client_error() => {
            AgentError::Rejected { status: other.as_u16(), code, description }
        }
        other if other.is_server_error() => AgentError::Failed { status: other.as_u16(), code, description },
        other => AgentError::protocol(format!("status {} is not expected here", other.as_u16())),
    }
}

/// Reads `Retry-After` in seconds; dates are not understood and count as absent.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> AgentError {
        refusal(StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    }

    #[test]
    fn every_refusal_has_its_variant() {
        let stale = r#"{"error":"StaleEpoch","description":"3 < 4","newest_epoch":4}"#;
        let running = r#"{"error":"OperationRunning","description":"…","running_id":"b-2"}"#;
        assert!(matches!(of(409, stale), AgentError::StaleEpoch { newest: Some(4) }));
        assert!(matches!(of(409, running), AgentError::OtherOperationRunning { id } if id == "b-2"));
        assert!(matches!(of(409, "{}"), AgentError::Rejected { status: 409, .. }));
        assert!(matches!(of(401, "<html>"), AgentError::Rejected { status: 401, .. }));
        assert!(matches!(of(408, ""), AgentError::Failed { status: 408, .. }));
        assert!(matches!(of(503, ""), AgentError::Failed { status: 503, .. }));
        assert!(matches!(of(302, ""), AgentError::Protocol { .. }));
        assert!(matches!(of(204, ""), AgentError::Protocol { .. }));
    }

    #[test]
    fn a_request_for_endless_patience_is_capped() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, "99999999".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(LONGEST_RETRY_AFTER));
        headers.insert(RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }
}
