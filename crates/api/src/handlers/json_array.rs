//! A JSON array of any length as a stream: pages are fetched while the client reads, none is kept. When a page in the
//! middle cannot be had, the answer breaks off; a client sees that it is not complete.

use std::future::Future;

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;

use crate::error::ApiError;

/// A page: its elements, and where the next one begins; `None` when there is none.
pub(crate) struct Page<T, P> {
    pub(crate) elements: Vec<T>,
    pub(crate) next: Option<P>,
}

/// Streams pages. The first is fetched before the answer begins, so that an error in it is still answered as one.
pub(crate) async fn stream_pages<T, P, F, R>(start: P, fetch: F) -> Result<HttpResponse, ApiError>
where
    T: Serialize + 'static,
    P: 'static,
    F: Fn(P) -> R + 'static,
    R: Future<Output = Result<Page<T, P>, ApiError>>,
{
    let first = fetch(start).await?;
    let body = stream::try_unfold((Some(first), false, fetch), async |(page, has_elements, fetch)| {
        let Some(Page { elements, next }) = page else { return Ok::<_, ApiError>(None) };
        let mut chunk = Vec::new();
        let mut is_first = !has_elements;
        for element in &elements {
            chunk.push(if is_first { b'[' } else { b',' });
            is_first = false;
            serde_json::to_writer(&mut chunk, element).map_err(|error| {
                tracing::error!(%error, "an element of a list cannot be written");
                ApiError::for_status(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR)
            })?;
        }
        let next = match next {
            Some(start) => Some(fetch(start).await?),
            None => {
                chunk.extend_from_slice(if is_first { b"[]" } else { b"]" });
                None
            }
        };
        Ok(Some((Bytes::from(chunk), (next, !is_first, fetch))))
    });
    Ok(HttpResponse::Ok().content_type("application/json").streaming(body))
}
