//! Writes verdicts: whatever has come in while the last statement was under way goes into the next one, and a database
//! that is away is waited for, since the work is done and must not be lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::engine::Engine;
use crate::settle::Verdict;

/// Most verdicts in one statement.
const BATCH: usize = 250;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The way to the task that writes; the task ends when the last of these is gone.
#[derive(Clone)]
pub(super) struct Settler {
    sender: mpsc::UnboundedSender<Pending>,
}

struct Pending {
    verdict: Verdict,
    /// Told whether the lease was still held.
    answer: oneshot::Sender<bool>,
}

impl Settler {
    pub(super) fn start(engine: Arc<Engine>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(settle_all(engine, receiver));
        Self { sender }
    }

    /// Waits until the verdict is written; `false` if its lease was lost.
    pub(super) async fn settle(&self, verdict: Verdict) -> bool {
        let (answer, answered) = oneshot::channel();
        // The other end lives as long as this one, except while the runtime goes down.
        self.sender.send(Pending { verdict, answer }).is_ok() && answered.await.unwrap_or(false)
    }
}

async fn settle_all(engine: Arc<Engine>, mut receiver: mpsc::UnboundedReceiver<Pending>) {
    let mut batch = Vec::new();
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        settle_batch(&engine, &mut batch).await;
        batch.clear();
    }
}

async fn settle_batch(engine: &Engine, batch: &mut Vec<Pending>) {
    let mut pause = FIRST_PAUSE;
    let settled = loop {
        // Whoever no longer waits was cut off by the end of a shutdown.
        batch.retain(|pending| !pending.answer.is_closed());
        if batch.is_empty() {
            return;
        }
        let verdicts: Vec<Verdict> = batch.iter().map(|pending| pending.verdict.clone()).collect();
        match engine.settle(verdicts).await {
            Ok(settled) => break settled,
            Err(error) => {
                engine.health.failed("settle", &error);
            }
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    };
    engine.health.worked("settle");
    let settled: HashSet<_> = settled.into_iter().collect();
    for pending in batch.drain(..) {
        // Nobody waiting any more is fine: it is written.
        let _ = pending.answer.send(settled.contains(&pending.verdict.lease.job));
    }
}
