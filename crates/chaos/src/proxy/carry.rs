//! Carries one request to the target and its answer back, doing on the way what is injected.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::fault::{Copied, Fault};
use super::rubbish;
use super::state::State;

/// How long the first half of an answer has to reach the client before the connection is cut.
const HALF_TIME: Duration = Duration::from_millis(20);

/// The connection is to be cut.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

/// A body that can break off.
pub(super) type Answer = UnsyncBoxBody<Bytes, Cut>;

/// Reads the request and carries it out, also if the client does not wait for it.
pub(super) async fn carry(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Answer>, Cut> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    strip(&mut head.headers);
    let request = Request::from_parts(head, body);
    let fault = state.receive(request.method().as_str());
    tokio::spawn(carry_out(state, request, fault)).await.map_err(|_| Cut)?
}

async fn carry_out(
    state: Arc<State>,
    request: Request<Bytes>,
    fault: Option<Fault>,
) -> Result<Response<Answer>, Cut> {
    match fault {
        None | Some(Fault::Refuse) => forward(&state, request).await.map(whole),
        Some(Fault::DropBefore) => Err(Cut),
        Some(Fault::DropAfter) => forward(&state, request).await.and(Err(Cut)),
        Some(Fault::Duplicate) => {
            state.copied(copied(&request));
            drop(forward(&state, request.clone()).await);
            forward(&state, request).await.map(whole)
        }
        Some(Fault::LateCopy(delay)) => {
            let answer = forward(&state, request.clone()).await;
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                state.copied(copied(&request));
                drop(forward(&state, request).await);
            });
            answer.map(whole)
        }
        Some(Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            forward(&state, request).await.map(whole)
        }
        Some(Fault::HalfAnswer) => forward(&state, request).await.and_then(half),
        Some(Fault::Rubbish(sort)) => {
            let answer = forward(&state, request).await?;
            rubbish::instead_of(answer, sort).map(whole)
        }
        Some(Fault::Error(status)) => rubbish::error(status).map(whole),
    }
}

/// Sends the request on a connection of its own and reads the whole answer.
async fn forward(state: &State, request: Request<Bytes>) -> Result<Response<Bytes>, Cut> {
    let answer = exchange(state, request).await;
    if answer.is_err() {
        state.unanswered();
    }
    answer
}

async fn exchange(state: &State, request: Request<Bytes>) -> Result<Response<Bytes>, Cut> {
    let stream = TcpStream::connect(state.target()).await.map_err(|_| Cut)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| Cut)?;
    tokio::spawn(connection);
    state.forwarded();
    let answer = sender.send_request(request.map(Full::new)).await.map_err(|_| Cut)?;
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    strip(&mut head.headers);
    Ok(Response::from_parts(head, body))
}

/// Takes away what concerns one connection only.
fn strip(headers: &mut HeaderMap<HeaderValue>) {
    for name in [CONNECTION, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn copied(request: &Request<Bytes>) -> Copied {
    Copied { method: request.method().to_string(), path: request.uri().path().to_owned() }
}

fn whole(answer: Response<Bytes>) -> Response<Answer> {
    answer.map(|body| Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync())
}

/// Announces the whole body and sends half of it.
fn half(answer: Response<Bytes>) -> Result<Response<Answer>, Cut> {
    let (mut head, body) = answer.into_parts();
    if body.is_empty() {
        return Err(Cut);
    }
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let first = body.slice(..body.len() / 2);
    let frames = stream::once(async { Ok(Frame::data(first)) }).chain(stream::once(async {
        tokio::time::sleep(HALF_TIME).await;
        Err(Cut)
    }));
    Ok(Response::from_parts(head, StreamBody::new(frames).boxed_unsync()))
}
