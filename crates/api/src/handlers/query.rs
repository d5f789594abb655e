//! Query parameters, parsed with errors that name them. Unknown ones are ignored.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::error::ApiError;

/// The parameters after the `?`.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The first value of a parameter; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// A number within bounds.
    pub(crate) fn number(
        &self,
        name: &str,
        allowed: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| allowed.contains(number));
        number.map(Some).ok_or_else(|| {
            ApiError::bad_request(format!(
                "{name} must be a number from {} to {}.",
                allowed.start(),
                allowed.end()
            ))
        })
    }
}

impl FromRequest for Query {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(
            serde_urlencoded::from_str(request.query_string())
                .map(Self)
                .map_err(|_| ApiError::bad_request("The query cannot be understood.")),
        )
    }
}
