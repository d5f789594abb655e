//! A bound on how long a request waits for its answer to begin, for when the database neither answers nor goes away.
//! What is streamed after the beginning may take as long as it takes.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;

use crate::error::ApiError;

/// Longer than the body of a request may take to arrive, and longer than the database's own bound on a statement.
const USUAL: Duration = Duration::from_secs(45);

/// A deletion goes on until the store has removed every part.
const OF_DELETION: Duration = Duration::from_secs(300);

/// Answers 503 when the handler has not answered in time. Only around a resource: there the router no longer writes
/// into the request, so that it may be kept for the answer.
pub(crate) async fn bound(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let patience = if *request.method() == Method::DELETE { OF_DELETION } else { USUAL };
    within(patience, request, next).await
}

async fn within(
    patience: Duration,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let kept = request.request().clone();
    match tokio::time::timeout(patience, next.call(request)).await {
        Ok(answer) => Ok(answer?.map_into_boxed_body()),
        Err(_) => {
            tracing::warn!(?patience, "a request was given up: the database or the store does not answer");
            Ok(ServiceResponse::new(kept, ApiError::unavailable().answer()))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};

    use super::*;

    #[tokio::test]
    async fn a_handler_that_hangs_is_answered_503_and_others_are_left_alone() {
        let briefly = |request, next| within(Duration::from_millis(20), request, next);
        let hang = web::get().to(std::future::pending::<HttpResponse>);
        let answer = web::get().to(async || HttpResponse::Ok().finish());
        let app = App::new()
            .service(web::resource("/hangs/{id}").wrap(from_fn(briefly)).route(hang))
            .service(web::resource("/answers/{id}").wrap(from_fn(briefly)).route(answer));
        let service = init_service(app).await;
        let get = |path: &str| TestRequest::get().uri(path).to_request();
        let answer = call_service(&service, get("/hangs/1")).await;
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!(call_service(&service, get("/answers/1")).await.status(), 200);
    }
}
