//! The answers: one file per path of the protocol. What both kinds of operations share is here.

pub(crate) mod backups;
pub(crate) mod info;
pub(crate) mod operations;
pub(crate) mod pitr;
pub(crate) mod rehearsals;
pub(crate) mod restores;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web;
use backup_protocol::StopOrder;

use crate::error::Error;
use crate::operations::{Kind, Operations, Refused, Start};

/// A cancelled operation normally ends at once; a `DELETE` waits this long before it answers `running`.
const WAIT_FOR_END: Duration = Duration::from_secs(10);

/// 202: started by this request. 200: known already, how it stands.
async fn start(operations: &Operations, id: String, request: Start) -> Result<HttpResponse, Error> {
    let operations = operations.clone();
    let (started, status) = blocking(move || operations.start(&id, request)).await?;
    match started {
        true => Ok(HttpResponse::Accepted().json(status)),
        false => Ok(HttpResponse::Ok().json(status)),
    }
}

async fn status(operations: &Operations, kind: Kind, id: String) -> Result<HttpResponse, Error> {
    let operations = operations.clone();
    let status = blocking(move || operations.status(kind, &id)).await?;
    Ok(HttpResponse::Ok().json(status))
}

async fn cancel(
    operations: &Operations,
    kind: Kind,
    id: String,
    order: StopOrder,
) -> Result<HttpResponse, Error> {
    let (there, id_there) = (operations.clone(), id.clone());
    let ended = blocking(move || there.cancel(kind, &id_there, order)).await?;
    if let Some(mut ended) = ended {
        // Late or not, the answer says how it stands.
        let _ = tokio::time::timeout(WAIT_FOR_END, ended.wait_for(|ended| *ended)).await;
    }
    status(operations, kind, id).await
}

/// The journal is on a disk, so its users may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Error> {
    let outcome = web::block(work).await.map_err(|_| Error::Internal("a thread of the agent ended"))?;
    Ok(outcome?)
}
