//! One operation from its record to its end: pipeline, deadline, clean-up, and the record of how it ended.

use std::sync::Arc;
use std::time::Duration;

use backup_objects::Metadata;
use backup_protocol::{OperationError, OperationState};
use chrono::{DateTime, Utc};

use super::entry::{Key, Kind, Objects};
use super::registry::{Operations, Running};
use super::start::{Place, Start};
use crate::archive::Base;
use crate::drivers::Driver;
use crate::pipeline::{self, BackupOrder, Failure, Progress, RestoreOrder, Run};
use crate::session::{Session, Stop};

const RETRY_RECORD: Duration = Duration::from_secs(5);

impl Operations {
    pub(super) async fn perform(
        self,
        key: Key,
        request: Start,
        place: Place,
        session: Session,
        progress: Arc<Progress>,
    ) {
        let run = Run {
            driver: self.driver_for(&request),
            store: place.store,
            folder: place.folder,
            session: session.clone(),
            progress: Arc::clone(&progress),
        };
        let watch = tokio::spawn(stop_at(request.deadline(), session));
        // In a task of its own, so that even a panic ends in a record.
        let work = tokio::spawn(self.clone().work(key.clone(), request, run));
        let outcome = work.await.unwrap_or_else(|error| Err(error.into()));
        watch.abort();
        if outcome.is_err() {
            self.abandon_log(&key).await;
            self.clean_up(&key).await;
        }
        let running = self.record_end(&key, outcome, &progress).await;
        // Whoever waits for the end may open the journal next, so our hold on it goes first.
        drop(self);
        if let Some(running) = running {
            // Whoever waited may have gone.
            let _ = running.end.send(true);
        }
    }

    /// A backup names its type; what a restore needs is known when its metadata is read.
    fn driver_for(&self, request: &Start) -> Arc<dyn Driver> {
        let is_physical = matches!(request, Start::Backup(body) if body.backup_type.is_some());
        match self.driver().physical().filter(|_| is_physical) {
            Some(physical) => physical,
            None => self.driver(),
        }
    }

    /// Before the folder of a failed backup is removed, nobody may write to it any longer.
    pub(super) async fn abandon_log(&self, key: &Key) {
        if let (Kind::Backup, Some(archive)) = (key.0, &self.inner.settings.archive) {
            archive.abandon(&key.1).await;
        }
    }

    async fn work(self, key: Key, request: Start, run: Run) -> Result<Metadata, Failure> {
        match request {
            Start::Backup(body) => {
                let objects = Objects {
                    store: body.store,
                    object_prefix: body.object_prefix,
                    backup_id: key.1.clone(),
                    owner: uuid::Uuid::new_v4().to_string(),
                };
                self.own_objects(&key, &run, objects.clone()).await?;
                let archive = self.inner.settings.archive.as_ref().filter(|_| body.backup_type.is_some());
                if let Some(archive) = archive {
                    let base = Base {
                        backup_id: &key.1,
                        store: &objects.store,
                        object_prefix: &objects.object_prefix,
                        owner: &objects.owner,
                        encryption: &body.encryption,
                    };
                    run.unless_stopped(archive.begin(base)).await?;
                }
                let id = key.1.clone();
                let order = BackupOrder {
                    backup_id: key.1,
                    instance: body.instance,
                    encryption: body.encryption,
                    compression: body.compression,
                    rate: body.rate_limit_bytes_per_second,
                    part_size_limit: body.part_size_limit,
                    chunk_size: self.inner.settings.chunk_size,
                    started_at: Utc::now(),
                };
                let session = run.session.clone();
                let metadata = pipeline::backup(run, order).await?;
                if let Some(archive) = archive {
                    archive.complete(&id).await?;
                    session.stopped().map_or(Ok(()), |stop| Err(Failure::from_stop(stop)))?;
                }
                Ok(metadata)
            }
            Start::Restore(body) => {
                // Leftovers of an earlier restore may be removed for up to an hour.
                let _alone = run.unless_stopped(async { Ok(self.inner.exclusive.lock().await) }).await?;
                let order = RestoreOrder {
                    restore_id: key.1,
                    backup_id: body.backup_id,
                    checksum: body.checksum,
                    encryption: body.encryption,
                    moment: body.recovery_target_time.map(|time| (time, body.recovery_last_segment)),
                };
                pipeline::restore(run, order).await
            }
            // Beside everything else: it leaves the running data service alone.
            Start::Rehearsal(body) => {
                let order = RestoreOrder {
                    restore_id: key.1,
                    backup_id: body.backup_id,
                    checksum: body.checksum,
                    encryption: body.encryption,
                    moment: None,
                };
                pipeline::rehearse(run, order, Arc::clone(&self.inner.settings.rehearsals)).await
            }
        }
    }

    /// Records the end. An end that is not on disk is not reported: after a restart it would be another one.
    async fn record_end(
        &self,
        key: &Key,
        outcome: Result<Metadata, Failure>,
        progress: &Arc<Progress>,
    ) -> Option<Running> {
        loop {
            let (this, key_there, outcome, progress) =
                (self.clone(), key.clone(), outcome.clone(), Arc::clone(progress));
            let recorded =
                tokio::task::spawn_blocking(move || this.try_record_end(&key_there, outcome, &progress));
            match recorded.await {
                Ok(Ok(running)) => return running,
                Ok(Err(error)) => {
                    tracing::error!(%error, id = key.1, "the end of an operation cannot be recorded")
                }
                Err(_) => tracing::error!(id = key.1, "recording the end of an operation panicked"),
            }
            tokio::time::sleep(RETRY_RECORD).await;
        }
    }

    fn try_record_end(
        &self,
        key: &Key,
        outcome: Result<Metadata, Failure>,
        progress: &Progress,
    ) -> Result<Option<Running>, super::JournalError> {
        let mut state = self.state();
        let Some(mut entry) = state.entries.get(key).cloned() else { return Ok(None) };
        progress.fill(&mut entry.status);
        let now = Utc::now();
        match outcome {
            Ok(metadata) => {
                entry.status.state = OperationState::Done;
                entry.status.finished_at = Some(now);
                entry.status.parts = metadata.parts;
                entry.status.checksum = Some(metadata.checksum);
                entry.status.filter_plugins = metadata.filter_plugins;
            }
            Err(Failure::Cancelled) => entry.end(OperationState::Cancelled, None, now),
            Err(Failure::Error(error)) => entry.end(OperationState::Failed, Some(error), now),
        }
        self.inner.journal.save(&entry)?;
        report(key, entry.status.state, entry.status.error.as_ref());
        state.entries.insert(key.clone(), entry);
        Ok(state.running.remove(key))
    }
}

async fn stop_at(deadline: DateTime<Utc>, session: Session) {
    let left = deadline.signed_duration_since(Utc::now()).to_std().unwrap_or_default();
    tokio::time::sleep(left).await;
    session.stop(Stop::TimedOut);
}

fn report((kind, id): &(Kind, String), state: OperationState, error: Option<&OperationError>) {
    match error {
        Some(error) => tracing::warn!(%kind, id, code = error.code, text = error.message, "operation failed"),
        None => tracing::info!(%kind, id, ?state, "operation ended"),
    }
}
