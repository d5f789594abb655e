//! What a fake was asked, and the ways it can answer: properly, or as broken peers do.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::StatusCode;
use base64::Engine;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;

/// A request as a fake received it.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub body: Bytes,
}

impl Request {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// User and password of basic authentication.
    #[must_use]
    pub fn basic_auth(&self) -> Option<(String, String)> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    /// One parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// An answer of a fake.
#[derive(Debug, Clone)]
pub enum Answer {
    /// JSON with this status.
    Json(u16, Value),
    /// JSON with this status and `Retry-After` in seconds.
    RetryAfter(u16, u64, Value),
    /// Any text, called JSON whatever it is.
    Text(u16, String),
    /// An endless-looking body of this many bytes, without a declared length.
    Huge(u64),
    /// A redirection to this URL.
    Redirect(String),
    /// The right answer, after a while.
    Slow(Duration, Box<Answer>),
    /// Headers that promise more than follows, then the connection ends.
    CutOff(String),
    /// The connection ends without an answer.
    Disconnect,
}

impl Answer {
    pub(crate) async fn into_response(mut self) -> HttpResponse {
        while let Self::Slow(time, inner) = self {
            actix_web::rt::time::sleep(time).await;
            self = *inner;
        }
        match self {
            Self::Json(status, body) => response(status).json(body),
            Self::RetryAfter(status, seconds, body) => {
                response(status).insert_header(("Retry-After", seconds.to_string())).json(body)
            }
            Self::Text(status, text) => response(status).content_type("application/json").body(text),
            Self::Huge(size) => {
                let piece = Bytes::from(vec![b'['; 64 * 1024]);
                let count = usize::try_from(size / 65_536 + 1).expect("a size this machine can count to");
                let pieces = stream::repeat(piece).take(count).map(Ok::<_, std::io::Error>);
                response(200).content_type("application/json").body(BodyStream::new(pieces))
            }
            Self::Redirect(url) => response(307).insert_header(("Location", url)).finish(),
            Self::CutOff(text) => {
                let promised = u64::try_from(text.len()).expect("a length") + 100;
                // The pause lets what was promised so far leave the machine.
                let end = stream::once(async {
                    actix_web::rt::time::sleep(Duration::from_millis(50)).await;
                    Err(std::io::Error::other("cut off"))
                });
                let body = stream::iter([Ok(Bytes::from(text))]).chain(end).boxed_local();
                response(200).content_type("application/json").body(SizedStream::new(promised, body))
            }
            Self::Slow(..) | Self::Disconnect => {
                let body = stream::iter([Err::<Bytes, _>(std::io::Error::other("disconnected"))]);
                response(200).body(BodyStream::new(body))
            }
        }
    }
}

fn response(status: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).expect("a valid HTTP status"))
}
