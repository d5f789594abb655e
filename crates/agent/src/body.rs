//! Request bodies and queries: of bounded size; a mistake is reported with the field it is in.

use actix_web::HttpRequest;
use actix_web::web::{Bytes, Payload, Query};
use backup_protocol::StopOrder;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::operations::Refused;

const LARGEST: usize = 64 * 1024;

/// Reads a body as `T`.
pub(crate) async fn read<T: DeserializeOwned>(payload: Payload) -> Result<T, Error> {
    let bytes: Bytes = match payload.to_bytes_limited(LARGEST).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Err(Refused::bad("body", "ended early").into()),
        Err(_) => return Err(Error::TooLarge),
    };
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        // The text of a serde error may quote the value, and a value may be a key.
        let reason = match error.inner().is_syntax() || error.inner().is_eof() {
            true => "is not JSON".to_owned(),
            false if field.contains("key") => "is not of the expected kind".to_owned(),
            false => error.inner().to_string(),
        };
        Refused::bad(&field, reason).into()
    })
}

/// Reads the query of a `DELETE`; parameters it does not know are ignored.
pub(crate) fn stop_order(request: &HttpRequest) -> Result<StopOrder, Error> {
    match Query::<StopOrder>::from_query(request.query_string()) {
        Ok(order) => Ok(order.into_inner()),
        Err(_) => {
            Err(Refused::bad("query", "epoch must be a whole number, unless_begun true or false").into())
        }
    }
}
