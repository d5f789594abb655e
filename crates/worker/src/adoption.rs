//! Sweeps for unfinished operations without a job, by the clock. The unique keys of jobs make it harmless that every
//! worker does so.

use std::time::Duration;

use backup_core::Manager;
use backup_core::actions::adopt_operations::adopt_operations;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Sweeps every `interval` until told to stop. An outage of the database is logged once and waited out.
pub async fn sweep_until(manager: Manager, interval: Duration, stop: CancellationToken) {
    let mut is_failing = false;
    loop {
        match adopt_operations(&manager).await {
            Ok(_) => is_failing = false,
            Err(error) if is_failing => tracing::debug!("the sweep for lost operations still fails: {error}"),
            Err(error) => {
                tracing::warn!("the sweep for lost operations failed: {error}");
                is_failing = true;
            }
        }
        if timeout(interval, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}
