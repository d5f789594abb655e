//! `/v1/operations`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};

use crate::error::Error;
use crate::operations::{Operations, Page, Refused};

/// A page of the journal.
pub(crate) async fn get(
    operations: Data<Operations>,
    page: Result<Query<Page>, actix_web::Error>,
) -> Result<HttpResponse, Error> {
    let page = page.map_err(|error| Refused::bad("query", error.to_string()))?.into_inner();
    let operations = operations.as_ref().clone();
    let list = super::blocking(move || operations.list(&page)).await?;
    Ok(HttpResponse::Ok().json(list))
}
