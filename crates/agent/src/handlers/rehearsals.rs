//! `/v1/rehearsals/{rehearsal_id}`.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::body;
use crate::error::Error;
use crate::operations::{Kind, Operations, Start};

/// Starts a rehearsal, at most once.
pub(crate) async fn put(
    operations: Data<Operations>,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    super::start(&operations, id.into_inner(), Start::Rehearsal(body::read(payload).await?)).await
}

/// How a rehearsal stands.
pub(crate) async fn get(operations: Data<Operations>, id: Path<String>) -> Result<HttpResponse, Error> {
    super::status(&operations, Kind::Rehearsal, id.into_inner()).await
}

/// Cancels a rehearsal.
pub(crate) async fn delete(
    operations: Data<Operations>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    super::cancel(&operations, Kind::Rehearsal, id.into_inner(), body::stop_order(&request)?).await
}
