//! Bodies of requests: JSON or `application/x-www-form-urlencoded`, small, and forgiving about types, because a form
//! knows only text. Unknown fields are ignored, except where [`Fields::only`] refuses them.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use secrecy::SecretString;
use serde_json::{Map, Number, Value};

use crate::error::ApiError;
use crate::unique_fields::UniqueFields;
use crate::word::Word;

/// Largest body that is read, in bytes.
pub(crate) const LIMIT: usize = 64 * 1024;

/// A body that has not arrived by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of a larger body so much is thrown away before the answer, so that a client that writes first and reads then
/// gets to read it.
const DRAIN: usize = 4 * 1024 * 1024;

/// The fields of a body.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Whether it is there, be it null.
    pub(crate) fn has(&self, name: &'static str) -> bool {
        self.0.contains_key(name)
    }

    /// A text; none when it is absent or null.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "a text")),
        }
    }

    /// A text that may be a number; none when it is absent or null.
    pub(crate) fn text_or_number(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.0.get(name) {
            Some(Value::Number(number)) if number.is_i64() => Ok(Some(number.to_string())),
            _ => self.text(name),
        }
    }

    /// A time, as ISO 8601 writes it; none when it is absent or null.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<DateTime<Utc>>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let time = DateTime::parse_from_rfc3339(&text)
            .map_err(|_| wrong(name, "a time like 2026-02-01T01:30:00Z"))?;
        Ok(Some(time.to_utc()))
    }

    /// A secret; none when it is absent or null.
    pub(crate) fn secret(&self, name: &'static str) -> Result<Option<SecretString>, ApiError> {
        Ok(self.text(name)?.map(SecretString::from))
    }

    /// A whole number, also as text; none when it is absent or null.
    pub(crate) fn integer(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number)),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| wrong(name, "a whole number"))
    }

    /// Yes or no, also as text; none when it is absent or null.
    pub(crate) fn boolean(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if matches!(text.as_str(), "true" | "1") => Ok(Some(true)),
            Some(Value::String(text)) if matches!(text.as_str(), "false" | "0") => Ok(Some(false)),
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    /// Refuses a field that is not one of `allowed`: where a misspelt one would mean something else, or nothing.
    pub(crate) fn only(&self, allowed: &[&str]) -> Result<(), ApiError> {
        let Some(unknown) = self.0.keys().find(|name| !allowed.contains(&name.as_str())) else {
            return Ok(());
        };
        let shown: String =
            unknown.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let allowed = allowed.join(", ");
        Err(ApiError::bad_request(format!("The field {shown} is unknown; allowed: {allowed}.")))
    }

    fn parse(bytes: &[u8], kind: Option<&str>) -> Result<Self, ApiError> {
        let is_json_inside = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).map(|byte| *byte == b'{');
        match (kind, is_json_inside) {
            (_, None) => Ok(Self::default()),
            (Some("application/json"), _) => Self::json(bytes),
            // Scripts that leave the type to curl send JSON as a form.
            (None | Some(FORM), Some(true)) => Self::json(bytes),
            (None | Some(FORM), Some(false)) => Self::form(bytes),
            (Some(_), _) => Err(ApiError::new(
                Word::UnsupportedMediaType,
                "The body must be application/json or application/x-www-form-urlencoded.",
            )),
        }
    }

    fn json(bytes: &[u8]) -> Result<Self, ApiError> {
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        match serde_json::from_slice(bytes) {
            Ok(UniqueFields(fields)) => Ok(Self(fields)),
            Err(error) if error.is_data() && is_object => Err(ApiError::bad_request(REPEATED)),
            Err(error) if error.is_data() => Err(ApiError::bad_request("The body must be a JSON object.")),
            // The parser's own words could quote a secret.
            Err(error) => Err(ApiError::bad_request(format!(
                "The body is not valid JSON (line {}, column {}).",
                error.line(),
                error.column()
            ))),
        }
    }

    fn form(bytes: &[u8]) -> Result<Self, ApiError> {
        let malformed = || ApiError::bad_request("The body is not a valid form.");
        // Escapes are checked here, because the parser takes a broken one as it stands.
        if !are_escapes_whole(bytes) {
            return Err(malformed());
        }
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(bytes).map_err(|_| malformed())?;
        let mut fields = Map::new();
        for (name, value) in pairs {
            // The parser puts U+FFFD in the place of what is no UTF-8.
            if [&name, &value].iter().any(|text| text.contains(['\0', '\u{fffd}'])) {
                return Err(malformed());
            }
            if fields.insert(name, Value::String(value)).is_some() {
                return Err(ApiError::bad_request(REPEATED));
            }
        }
        Ok(Self(fields))
    }
}

const REPEATED: &str = "A field stands in the body twice.";

const FORM: &str = "application/x-www-form-urlencoded";

impl FromRequest for Fields {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // One that cannot be read is one that is not supported.
        let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
        let payload = payload.take();
        Box::pin(async move {
            let late = |_| ApiError::for_status(StatusCode::REQUEST_TIMEOUT);
            let bytes = tokio::time::timeout(PATIENCE, read(payload)).await.map_err(late)??;
            Self::parse(&bytes, kind.as_deref())
        })
    }
}

async fn read(mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut seen = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::bad_request("The body could not be read to its end."))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= LIMIT {
            bytes.extend_from_slice(&chunk);
        } else if seen > DRAIN {
            break;
        }
    }
    if seen > LIMIT {
        let description = format!("The body is larger than {LIMIT} bytes.");
        return Err(ApiError::new(Word::PayloadTooLarge, description));
    }
    Ok(bytes)
}

/// A number like `3.0`, which JSON does not distinguish from 3.
fn whole(number: &Number) -> Option<i64> {
    let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
    format!("{number:.0}").parse().ok()
}

fn wrong(name: &str, expected: &str) -> ApiError {
    ApiError::bad_request(format!("{name} must be {expected}."))
}

/// Whether every `%` is followed by two hexadecimal digits.
fn are_escapes_whole(bytes: &[u8]) -> bool {
    let mut pieces = bytes.split(|byte| *byte == b'%');
    pieces.next();
    pieces.all(|piece| piece.iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_same_fields() {
        for (text, kind) in [
            ("{\"backup_id\": 7, \"on\": true, \"name\": \"a b\"}", Some("application/json")),
            ("{\"backup_id\": 7, \"on\": true, \"name\": \"a b\"}", None),
            ("backup_id=7&on=true&name=a%20b", Some(FORM)),
            ("backup_id=7&on=1&name=a+b", None),
        ] {
            let fields = Fields::parse(text.as_bytes(), kind).unwrap();
            assert_eq!(fields.integer("backup_id").unwrap(), Some(7), "{text}");
            assert_eq!(fields.boolean("on").unwrap(), Some(true), "{text}");
            assert_eq!(fields.text("name").unwrap().as_deref(), Some("a b"), "{text}");
            assert_eq!(fields.text("other").unwrap(), None);
        }
    }

    #[test]
    fn a_whole_number_may_have_a_fraction_of_zero() {
        let read = |text: &str| {
            let body = format!("{{\"n\": {text}}}");
            Fields::parse(body.as_bytes(), Some("application/json")).unwrap().integer("n").ok().flatten()
        };
        assert_eq!((read("3.0"), read("-313.0"), read("1e3")), (Some(3), Some(-313), Some(1000)));
        assert_eq!((read("3.5"), read("1e300"), read("9223372036854775808")), (None, None, None));
    }

    #[test]
    fn what_is_neither_form_is_refused() {
        let refused = [
            ("{", Some("application/json")),
            ("[1]", Some("application/json")),
            ("a=%zz", Some(FORM)),
            ("a=%", None),
            ("a=%00", None),
            ("a\0=", Some(FORM)),
            ("%ff=a", Some(FORM)),
            ("{\"a\": 1, \"b\": 1, \"a\": 1}", Some("application/json")),
            ("a=1&b=1&a=1", Some(FORM)),
        ];
        for (text, kind) in refused {
            assert_eq!(
                Fields::parse(text.as_bytes(), kind).unwrap_err().status_code(),
                StatusCode::BAD_REQUEST,
                "{text}"
            );
        }
        let xml = Fields::parse(b"<a/>", Some("text/xml")).unwrap_err();
        assert_eq!(xml.status_code(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    use actix_web::ResponseError;
}
