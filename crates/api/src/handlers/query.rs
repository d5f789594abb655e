//! Query parameters, parsed with errors that name them. Unknown ones are ignored.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use chrono::{DateTime, Datelike, NaiveDate, Utc};

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

    /// A moment, as ISO 8601 writes it; a date alone is its first moment in UTC.
    pub(crate) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let moment = DateTime::parse_from_rfc3339(text).map(|moment| moment.to_utc());
        let date = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0).map(|moment| moment.and_utc());
        let moment = moment.ok().or_else(date).filter(|moment| (0..=9999).contains(&moment.year()));
        moment.map(Some).ok_or_else(|| {
            ApiError::bad_request(format!(
                "{name} must be a time like 2026-02-01T01:30:00Z or a date like 2026-02-01; a + is written as %2B."
            ))
        })
    }

    /// Refuses parameters other than these.
    pub(crate) fn only(&self, allowed: &[&str]) -> Result<(), ApiError> {
        match self.0.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
                let allowed = allowed.join(", ");
                Err(ApiError::bad_request(format!("{shown:?} is not known here; allowed are {allowed}.")))
            }
        }
    }

    /// The query again, with one parameter added or replaced.
    pub(crate) fn with(&self, name: &str, value: &str) -> Result<String, ApiError> {
        let others = self.0.iter().filter(|(known, _)| known != name);
        let all: Vec<(&str, &str)> =
            others.map(|(name, value)| (name.as_str(), value.as_str())).chain([(name, value)]).collect();
        serde_urlencoded::to_string(all).map_err(|error| {
            tracing::error!(%error, "a link cannot be written");
            ApiError::for_status(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR)
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
