//! The agents' side of the protocol, as far as backups go.

use std::net::Ipv4Addr;
use std::time::Duration;

use actix_web::body::BodyStream;
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use backup_protocol::{OperationState, OperationStatus, Refusal, StartBackup, StopOrder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;

use super::dice::{self, Trouble};
use super::operations::Operation;
use super::recording;
use super::world::World;
use crate::fleet::shape::{CREDENTIAL, Shape};

/// Longer than anybody waits.
const EVER: Duration = Duration::from_secs(600);

pub(super) async fn start(
    request: HttpRequest,
    world: Data<World>,
    id: Path<String>,
    body: Json<StartBackup>,
) -> HttpResponse {
    let Some(broker) = asked_as(&request) else { return unauthorized() };
    let (answer, count) = {
        let mut state = world.state();
        let is_hanging = state.behaviour.hanging_broker == Some(broker);
        let (count, mean) = (state.count(&id), Duration::from_secs_f64(state.behaviour.mean_seconds));
        let is_busy = count == 1 && dice::is_busy(&id);
        let start = state.recording.asked(&id, broker);
        start.is_disturbed |= is_hanging || is_busy || dice::trouble(&id, count).is_some();
        if is_hanging {
            (None, count)
        } else if is_busy {
            (Some(refuse(429, "Busy", None)), count)
        } else {
            start.accepted.get_or_insert_with(recording::now);
            (Some(accept(&mut state.operations, &id, body.into_inner(), mean)), count)
        }
    };
    deliver(&id, count, answer).await
}

fn accept(
    operations: &mut std::collections::HashMap<String, Operation>,
    id: &str,
    start: StartBackup,
    mean: Duration,
) -> HttpResponse {
    match operations.get_mut(id) {
        Some(known) if start.epoch < known.epoch() => refuse(409, "StaleEpoch", Some(known.epoch())),
        Some(known) => {
            known.see(start.epoch);
            HttpResponse::Ok().json(known.status(id))
        }
        None => {
            let operation = Operation::begin(id, start, mean);
            let status = operation.status(id);
            operations.insert(id.to_owned(), operation);
            HttpResponse::Accepted().json(status)
        }
    }
}

pub(super) async fn status(request: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    let Some(broker) = asked_as(&request) else { return unauthorized() };
    let (answer, count) = {
        let mut state = world.state();
        let count = state.count(&id);
        if state.behaviour.hanging_broker == Some(broker) {
            state.recording.never_answered(&id);
            (None, count)
        } else {
            state.recording.looked(&id, broker);
            let status = state.operations.get_mut(id.as_str()).map(|operation| {
                operation.go_on(&id, &world.store);
                operation.status(&id)
            });
            (Some(status), count)
        }
    };
    let is_over = answer.iter().flatten().any(|status| status.state != OperationState::Running);
    let delivered = deliver(&id, count, answer.map(known)).await;
    world.state().recording.answered(&id, is_over);
    delivered
}

pub(super) async fn stop(
    request: HttpRequest,
    world: Data<World>,
    id: Path<String>,
    order: Query<StopOrder>,
) -> HttpResponse {
    let Some(broker) = asked_as(&request) else { return unauthorized() };
    let (answer, count) = {
        let mut state = world.state();
        let count = state.count(&id);
        if state.behaviour.hanging_broker == Some(broker) {
            (None, count)
        } else {
            let epoch = order.epoch.unwrap_or_default();
            let operation = state.operations.entry(id.clone()).or_insert_with(|| Operation::never(epoch));
            if !order.unless_begun {
                operation.stop();
            }
            (Some(known(Some(operation.status(&id)))), count)
        }
    };
    deliver(&id, count, answer).await
}

/// As the dice fall for this exchange; nothing for ever when there is no answer.
async fn deliver(id: &str, count: u32, answer: Option<HttpResponse>) -> HttpResponse {
    let Some(answer) = answer else {
        actix_web::rt::time::sleep(EVER).await;
        return cut();
    };
    actix_web::rt::time::sleep(dice::delay(id, count)).await;
    match dice::trouble(id, count) {
        None => answer,
        Some(Trouble::Slow(more)) => {
            actix_web::rt::time::sleep(more).await;
            answer
        }
        Some(Trouble::Cut) => cut(),
    }
}

fn known(status: Option<OperationStatus>) -> HttpResponse {
    match status {
        Some(status) => HttpResponse::Ok().json(status),
        None => refuse(404, "NotFound", None),
    }
}

fn refuse(status: u16, error: &str, newest_epoch: Option<i64>) -> HttpResponse {
    let code = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    let mut answer = HttpResponse::build(code);
    if status == 429 {
        answer.insert_header((header::RETRY_AFTER, "2"));
    }
    answer.json(Refusal {
        error: error.to_owned(),
        description: "simulated".to_owned(),
        running_id: None,
        newest_epoch,
    })
}

fn unauthorized() -> HttpResponse {
    refuse(401, "Unauthorized", None)
}

/// The connection ends in the middle of the answer.
fn cut() -> HttpResponse {
    let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut");
    HttpResponse::Ok().body(BodyStream::new(stream::iter([Err::<Bytes, _>(broken)])))
}

/// Whose agent was asked, by somebody who may.
fn asked_as(request: &HttpRequest) -> Option<u32> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let address: Ipv4Addr = host.split(':').next()?.parse().ok()?;
    is_authorized(request, CREDENTIAL).then(|| Shape::broker_at(address))?
}

/// Whether the request carries this user and password.
pub(super) fn is_authorized(request: &HttpRequest, (user, password): (&str, &str)) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    request.headers().get(header::AUTHORIZATION).is_some_and(|found| found.as_bytes() == expected.as_bytes())
}
