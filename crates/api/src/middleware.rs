//! Around every request: its id, its line in the log, and the promise that an error always has the one shape.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpResponse};
use bytes::Bytes;
use tracing::Instrument;

use crate::auth::{self, ClientAddress, User};
use crate::connections::InProgress;
use crate::error::{ApiError, ErrorWord};
use crate::handlers::health::Checkup;

/// Carries the request's id in both directions.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request being answered.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives the request an id, logs its outcome in one line, and shapes errors that the framework made.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let id = callers_id(&request).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let client = auth::client_address(&request);
    request.extensions_mut().insert(client);
    let line = Line::of(&request, client);
    let progress = InProgress::begin(&request);
    let checkup = request.app_data::<Data<Checkup>>().cloned();
    let span = tracing::info_span!("request", request_id = %id);
    let is_head = *request.method() == Method::HEAD;
    let began = Instant::now();
    async move {
        // Nothing inside ends in `Err`: handlers and the authentication answer their errors themselves. The request
        // must not be held here meanwhile, because the router writes into it.
        let mut answer = next.call(request).await?.map_into_boxed_body();
        if is_foreign_error(&answer) {
            let shaped = ApiError::for_status(answer.status()).answer();
            answer = with_body_of(answer, shaped);
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert(X_REQUEST_ID, value);
        }
        if checkup.is_some_and(|checkup| checkup.is_stopping()) {
            answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        line.log(&answer, began);
        Ok(answer.map_body(|_, body| progress.answer(if is_head { nothing_of(&body) } else { body })))
    }
    .instrument(span)
    .await
}

/// Nothing, and the headers say as much as of the whole. The framework would read a body to its end to throw it away.
fn nothing_of(body: &BoxBody) -> BoxBody {
    struct Nothing(BodySize);

    impl MessageBody for Nothing {
        type Error = Infallible;

        fn size(&self) -> BodySize {
            self.0
        }

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
            Poll::Ready(None)
        }
    }

    BoxBody::new(Nothing(body.size()))
}

/// The caller's id, if it is short and fit for a log line.
fn callers_id(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(&X_REQUEST_ID)?.to_str().ok()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/+=@".contains(c);
    ((1..=128).contains(&id.len()) && id.chars().all(is_plain)).then(|| id.to_owned())
}

/// An error that no code of ours has made.
fn is_foreign_error(answer: &ServiceResponse<BoxBody>) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let status = answer.status();
    (status.is_client_error() || status.is_server_error()) && kind != Some("application/json")
}

/// Keeps headers like `Allow`, replaces the body and its type.
fn with_body_of(answer: ServiceResponse<BoxBody>, shaped: HttpResponse) -> ServiceResponse<BoxBody> {
    let (request, old) = answer.into_parts();
    let mut shaped = shaped;
    for (name, value) in old.headers() {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH | header::TRANSFER_ENCODING) {
            shaped.headers_mut().insert(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, shaped)
}

/// What the log says of a request, with the user and the word of a refusal; never its query, headers or body.
struct Line {
    method: String,
    path: String,
    peer: String,
}

impl Line {
    fn of(request: &ServiceRequest, client: ClientAddress) -> Self {
        Self {
            method: request.method().to_string(),
            path: request.path().chars().take(300).collect(),
            peer: client.0.map(|address| address.to_string()).unwrap_or_default(),
        }
    }

    fn log(self, answer: &ServiceResponse<BoxBody>, began: Instant) {
        let Self { method, path, peer } = self;
        let status = answer.status().as_u16();
        let user = answer.request().extensions().get::<User>().map(|user| user.name.clone());
        let error = answer.response().extensions().get::<ErrorWord>().map(|word| word.0);
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if matches!(path.as_str(), "/livez" | "/readyz" | "/v2/healthy") && status == 200 {
            tracing::debug!(method, path, status, duration_ms, peer, user, error, "answered");
        } else {
            tracing::info!(method, path, status, duration_ms, peer, user, error, "answered");
        }
    }
}
