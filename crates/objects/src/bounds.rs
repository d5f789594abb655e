//! Bounds for the calls of a store that may hang, as a network file system does when its server is away: a call that hangs
//! in a local directory holds a thread, and others need threads, too.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::{Error, Result};
use tokio::sync::Semaphore;

/// See [`crate::Store::bounded`].
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Bounds {
    pub(crate) fn new(calls: usize, patience: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(calls)), patience }
    }

    /// Waits for a call's turn and for its end. A call that is given up keeps its turn until it ends, because so long it
    /// may hold a thread.
    pub(crate) async fn keep<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let turns = Arc::clone(&self.turns);
        let ended = async {
            let turn = turns.acquire_owned().await;
            let call = async move {
                let _turn = turn;
                call.await
            };
            tokio::spawn(call).await.unwrap_or_else(|error| Err(failed(io::Error::other(error))))
        };
        let late = |_| {
            let text = format!("it did not answer within {:?}", self.patience);
            failed(io::Error::new(io::ErrorKind::TimedOut, text))
        };
        tokio::time::timeout(self.patience, ended).await.map_err(late)?
    }
}

fn failed(source: io::Error) -> Error {
    Error::Generic { store: "bounded", source: Box::new(source) }
}
