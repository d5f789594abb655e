//! Writes verdicts: whatever has come in while the last statement was under way goes into the next one, and a database
//! that is away is waited for, since the work is done and must not be lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::engine::Engine;
use super::work::Run;
use crate::settle::Verdict;

/// Most verdicts in one statement.
const BATCH: usize = 1000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Writes down what has ended, for ever.
    pub(super) async fn settle_all(self: Arc<Self>) {
        loop {
            self.to_settle.notified().await;
            loop {
                let runs = self.desk().take_to_settle(BATCH);
                if runs.is_empty() {
                    break;
                }
                self.settle_batch(&runs).await;
                self.desk().settled(&runs);
                self.turn.notify_one();
            }
        }
    }

    async fn settle_batch(&self, runs: &[Run]) {
        let verdicts: Arc<[Verdict]> = runs.iter().map(|run| run.verdict.clone()).collect();
        let mut pause = FIRST_PAUSE;
        let settled = loop {
            match self.settle(Arc::clone(&verdicts)).await {
                Ok(settled) => break settled,
                Err(error) => {
                    self.health.failed("settle", &error);
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        };
        self.health.worked("settle");
        let settled: HashSet<_> = settled.into_iter().collect();
        for run in runs {
            run.log(settled.contains(&run.verdict.lease.job));
        }
    }
}
