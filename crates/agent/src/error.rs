//! From a refusal to its HTTP answer. The only place that knows both.

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use backup_protocol::Refusal;

use crate::operations::Refused;

const RETRY_AFTER_SECONDS: &str = "30";

/// An answer that is not a success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request was understood and refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No credential, or a wrong one.
    #[error("a valid credential is required")]
    Unauthorized,
    /// The body is larger than any request of the protocol.
    #[error("the body is too large")]
    TooLarge,
    /// No such path.
    #[error("no such path or method")]
    NoSuchPath,
    /// Ours.
    #[error("{0}")]
    Internal(&'static str),
}

impl Error {
    fn word(&self) -> &'static str {
        match self {
            Self::Refused(Refused::NotFound) | Self::NoSuchPath => "NotFound",
            Self::Refused(Refused::OperationRunning(_)) => "OperationRunning",
            Self::Refused(Refused::StaleEpoch { .. }) => "StaleEpoch",
            Self::Refused(Refused::Busy(_)) => "Busy",
            Self::Refused(Refused::BadRequest { .. }) | Self::TooLarge => "BadRequest",
            Self::Refused(Refused::Journal(_)) | Self::Internal(_) => "Internal",
            Self::Unauthorized => "Unauthorized",
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Refused(Refused::NotFound) | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Refused(Refused::OperationRunning(_) | Refused::StaleEpoch { .. }) => StatusCode::CONFLICT,
            Self::Refused(Refused::Busy(_)) => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(Refused::BadRequest { .. }) => StatusCode::BAD_REQUEST,
            Self::Refused(Refused::Journal(_)) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Refused(Refused::Journal(error)) = self {
            tracing::error!(%error, "a request failed for a reason of our own");
        }
        let running_id = match self {
            Self::Refused(Refused::OperationRunning(id)) => Some(id.clone()),
            _ => None,
        };
        let newest_epoch = match self {
            Self::Refused(Refused::StaleEpoch { known, .. }) => Some(*known),
            _ => None,
        };
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            Self::Refused(Refused::Busy(_)) => drop(answer.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS))),
            Self::Unauthorized => {
                answer.insert_header((WWW_AUTHENTICATE, "Basic realm=\"backup-agent\""));
            }
            _ => {}
        }
        answer.json(Refusal {
            error: self.word().to_owned(),
            description: self.to_string(),
            running_id,
            newest_epoch,
        })
    }
}
