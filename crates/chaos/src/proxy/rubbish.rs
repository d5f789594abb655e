//! Answers that the target never gave.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::carry::Cut;
use super::fault::Rubbish;

/// An id of the right shape that no operation has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Nonsense in place of the target's answer.
pub(super) fn instead_of(answer: Response<Bytes>, sort: Rubbish) -> Result<Response<Bytes>, Cut> {
    match sort {
        Rubbish::Junk => made(200, "application/json", "{\"id\": \u{fffd}\u{0}, <<<"),
        Rubbish::OtherShape => other_shape(),
        Rubbish::WrongId => wrong_id(answer),
        Rubbish::Html => {
            made(502, "text/html", "<html><head><title>502 Bad Gateway</title></head><body></body></html>")
        }
    }
}

/// An answer with this status.
pub(super) fn error(status: u16) -> Result<Response<Bytes>, Cut> {
    let text = json!({"error": "Injected", "description": "a fault was injected on the way"});
    made(status, "application/json", &text.to_string())
}

fn other_shape() -> Result<Response<Bytes>, Cut> {
    made(200, "application/json", &json!({"message": ["all", "is", "well"], "state": 7}).to_string())
}

fn wrong_id(answer: Response<Bytes>) -> Result<Response<Bytes>, Cut> {
    let (mut head, body) = answer.into_parts();
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&body) else { return other_shape() };
    let Some(id) = fields.get_mut("id") else { return other_shape() };
    *id = json!(NOBODY);
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, Bytes::from(Value::Object(fields).to_string())))
}

fn made(status: u16, media_type: &'static str, body: &str) -> Result<Response<Bytes>, Cut> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, HeaderValue::from_static(media_type))
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .map_err(|_| Cut)
}
