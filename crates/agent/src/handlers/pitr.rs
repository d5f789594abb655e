//! `/v1/pitr`.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::error::Error;
use crate::operations::Operations;

/// The moments the data service can be brought to; 404 when its log is not archived.
pub(crate) async fn get(operations: Data<Operations>) -> Result<HttpResponse, Error> {
    let archive = operations.archive().ok_or(Error::NoSuchPath)?;
    Ok(HttpResponse::Ok().json(archive.report()))
}
