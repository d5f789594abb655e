//! `/v1/restores/{restore_id}`.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::body;
use crate::error::Error;
use crate::operations::{Kind, Operations, Start};

/// Starts a restore, at most once.
pub(crate) async fn put(
    operations: Data<Operations>,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    super::start(&operations, id.into_inner(), Start::Restore(body::read(payload).await?)).await
}

/// How a restore stands.
pub(crate) async fn get(operations: Data<Operations>, id: Path<String>) -> Result<HttpResponse, Error> {
    super::status(&operations, Kind::Restore, id.into_inner()).await
}

/// Cancels a restore.
pub(crate) async fn delete(
    operations: Data<Operations>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    super::cancel(&operations, Kind::Restore, id.into_inner(), body::stop_order(&request)?).await
}
