//! JSON of any length in constant memory: pieces are fetched while the client reads, and none is kept. What is short is
//! answered as a whole. When a piece in the middle cannot be had, also after some tries, the answer breaks off; a client
//! sees that it is not complete.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc;

use super::Answer;
use crate::error::ApiError;

/// Bytes sent at once; a client that reads slowly holds up to three times as much.
const CHUNK: usize = 64 << 10;

/// Pauses, in milliseconds, between the tries to get a piece in the middle. Others are turned away meanwhile, but what was begun shall end.
const PAUSES: [u64; 5] = [200, 400, 800, 1600, 3200];

/// Takes the text of an answer, and waits while the client has not read what was written before.
pub(crate) struct JsonWriter {
    chunks: mpsc::Sender<Chunk>,
    buffer: Vec<u8>,
    has_sent: bool,
    needs_comma: bool,
}

struct Chunk {
    bytes: Bytes,
    is_everything: bool,
}

impl JsonWriter {
    /// Opens what has elements, which may be an element itself.
    pub(crate) fn begin(&mut self, text: &str) {
        self.comma();
        self.go_on(text);
    }

    /// Writes what stands between the elements before and those that follow.
    pub(crate) fn go_on(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
        self.needs_comma = false;
    }

    /// Closes what was opened.
    pub(crate) fn end(&mut self, text: &str) {
        self.go_on(text);
        self.needs_comma = true;
    }

    /// Writes one element.
    pub(crate) async fn element(&mut self, element: &impl Serialize) -> Result<(), ApiError> {
        self.comma();
        serde_json::to_writer(&mut self.buffer, element).map_err(|error| {
            tracing::error!(%error, "an element of a list cannot be written");
            ApiError::for_status(StatusCode::INTERNAL_SERVER_ERROR)
        })?;
        self.needs_comma = true;
        if self.buffer.len() < CHUNK { Ok(()) } else { self.send(false).await }
    }

    /// Gets a piece. Once the answer has begun, it is tried again while there are more requests than the database serves.
    pub(crate) async fn piece<T>(&self, get: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, ApiError> {
        for pause in PAUSES.into_iter().take_while(|_| self.has_sent) {
            match get().await {
                Err(error) if error.status_code() == StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                outcome => return outcome,
            }
        }
        get().await
    }

    fn comma(&mut self) {
        if self.needs_comma {
            self.buffer.push(b',');
        }
    }

    async fn send(&mut self, is_last: bool) -> Result<(), ApiError> {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let is_everything = is_last && !self.has_sent;
        self.has_sent = true;
        // The writer is dropped with the answer, so somebody is there to receive.
        self.chunks.send(Chunk { bytes, is_everything }).await.map_err(|_| ApiError::unavailable())
    }
}

/// Answers with what `write` writes. An error in the first chunk's worth is still answered as one.
pub(crate) async fn stream_json<F>(write: F) -> Answer
where
    F: AsyncFnOnce(&mut JsonWriter) -> Result<(), ApiError> + 'static,
{
    let (chunks, received) = mpsc::channel(1);
    let writing = async move {
        let mut out = JsonWriter { chunks, buffer: Vec::new(), has_sent: false, needs_comma: false };
        write(&mut out).await?;
        out.send(true).await
    };
    let mut body =
        Box::pin(stream::try_unfold((Some(Box::pin(writing)), received), async |(writing, received)| {
            advance(writing, received).await
        }));
    let Some(first) = body.try_next().await? else { return Ok(HttpResponse::Ok().finish()) };
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/json");
    if first.is_everything {
        return Ok(answer.body(first.bytes));
    }
    let rest = body.map_ok(|chunk| chunk.bytes);
    Ok(answer.streaming(stream::once(std::future::ready(Ok(first.bytes))).chain(rest)))
}

/// What is left to do: the writing, until it is done, and its chunks.
type Left<W> = (Option<Pin<Box<W>>>, mpsc::Receiver<Chunk>);

/// Writes until the next chunk is there; the writing rests while nobody asks for one.
async fn advance<W>(
    mut writing: Option<Pin<Box<W>>>,
    mut received: mpsc::Receiver<Chunk>,
) -> Result<Option<(Chunk, Left<W>)>, ApiError>
where
    W: Future<Output = Result<(), ApiError>>,
{
    while let Some(current) = &mut writing {
        tokio::select! {
            biased;
            Some(chunk) = received.recv() => return Ok(Some((chunk, (writing, received)))),
            outcome = current => {
                outcome?;
                writing = None;
            }
        }
    }
    Ok(received.recv().await.map(|chunk| (chunk, (None, received))))
}

/// A page: its elements, and where the next one begins; `None` when there is none.
pub(crate) struct Page<T, P> {
    pub(crate) elements: Vec<T>,
    pub(crate) next: Option<P>,
}

/// Streams an array page by page.
pub(crate) async fn stream_pages<T, P, F, R>(start: P, fetch: F) -> Answer
where
    T: Serialize + 'static,
    P: Clone + 'static,
    F: Fn(P) -> R + 'static,
    R: Future<Output = Result<Page<T, P>, ApiError>>,
{
    stream_json(async move |out: &mut JsonWriter| {
        out.begin("[");
        let mut place = Some(start);
        while let Some(start) = place {
            let page = out.piece(async || fetch(start.clone()).await).await?;
            for element in &page.elements {
                out.element(element).await?;
            }
            place = page.next;
        }
        out.end("]");
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use actix_web::body::to_bytes;

    use super::*;

    /// Three pages of more than a chunk each; what becomes of them when page `which` is refused so many `times` first.
    async fn list(which: usize, times: usize) -> Result<usize, ApiError> {
        let left = Rc::new(Cell::new(times));
        let answer = stream_pages(0, move |page: usize| {
            let left = Rc::clone(&left);
            async move {
                if page == which && left.get() > 0 {
                    left.set(left.get() - 1);
                    return Err(ApiError::unavailable());
                }
                Ok(Page { elements: vec!["x".repeat(CHUNK)], next: (page < 2).then_some(page + 1) })
            }
        })
        .await?;
        let body = to_bytes(answer.into_body()).await.map_err(|_| ApiError::unavailable())?;
        Ok(serde_json::from_slice::<Vec<String>>(&body).unwrap().len())
    }

    #[tokio::test]
    async fn a_page_in_the_middle_is_tried_again_and_the_first_one_is_refused_at_once() {
        assert_eq!(list(1, 2).await.unwrap(), 3);
        assert_eq!(list(0, 1).await.unwrap_err().status_code(), 503);
    }
}
