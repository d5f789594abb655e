//! Removing what operations without success have left: their objects in the store, and what an interrupted restore has
//! left in the data service. What cannot be removed now is tried again until it can.

use std::sync::Arc;
use std::time::Duration;

use backup_objects::BackupFolder;
use backup_protocol::OperationError;
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::admission::after_restart;
use super::entry::{Entry, Key, Kind};
use super::journal::JournalError;
use super::registry::Operations;
use crate::drivers::DriverError;
use crate::session::LimitedSession;

const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// The start does not wait longer than this for a store or a data service that is away.
const START_WAITS: Duration = Duration::from_secs(20);
const RECOVERY_LIMIT: Duration = Duration::from_secs(3600);

impl Operations {
    /// Ends every operation that ran when the agent was last stopped: cleaned up first, then recorded as interrupted.
    ///
    /// # Errors
    /// When an end cannot be recorded.
    pub(crate) async fn recover(&self) -> Result<(), JournalError> {
        let interrupted: Vec<Entry> = self
            .state()
            .entries
            .values()
            .filter(|e| after_restart(e.status.state) != e.status.state)
            .cloned()
            .collect();
        let was_restoring = interrupted.iter().any(|entry| entry.kind == Kind::Restore);
        // On this machine alone, and never done later: not within the limit.
        self.sweep_rehearsals().await;
        for entry in &interrupted {
            self.abandon_log(&entry.key()).await;
        }
        // A store that is away must not keep the data service from being put in order.
        let work = async {
            let recovered = self.recover_driver().await;
            for entry in &interrupted {
                self.remove_objects(&entry.key()).await;
            }
            self.abort_inherited_uploads().await;
            recovered
        };
        match tokio::time::timeout(START_WAITS, work).await {
            Ok(Some(Ok(()))) => {}
            outcome => tracing::warn!(
                ?outcome,
                was_restoring,
                "not everything is cleaned up yet; it goes on while the agent serves"
            ),
        }
        for entry in interrupted {
            let mut state = self.state();
            let Some(entry) = state.entries.get_mut(&entry.key()) else { continue };
            let message = "the agent was stopped or killed during the operation".to_owned();
            let error = OperationError { code: "interrupted".to_owned(), message };
            entry.end(after_restart(entry.status.state), Some(error), Utc::now());
            entry.cleanup_pending = entry.owned.is_some();
            self.inner.journal.save(entry)?;
            tracing::warn!(kind = %entry.kind, id = entry.status.id, "an interrupted operation is recorded as failed");
        }
        self.forget_expired(&mut self.state());
        Ok(())
    }

    /// Tries again what could not be cleaned up, until the token is cancelled.
    pub(crate) async fn keep_clean(self, until: CancellationToken) {
        self.keep_clean_every(AGAIN_AFTER, until).await;
    }

    /// The driver is asked every time nothing runs: a data service may fall over in the middle of anything.
    async fn keep_clean_every(self, pause: Duration, until: CancellationToken) {
        let mut complaint = None;
        while tokio::time::timeout(pause, until.cancelled()).await.is_err() {
            let pending: Vec<Key> = {
                let mut state = self.state();
                self.forget_expired(&mut state);
                state.entries.values().filter(|entry| entry.cleanup_pending).map(Entry::key).collect()
            };
            for key in pending {
                self.remove_objects(&key).await;
            }
            self.abort_inherited_uploads().await;
            if self.state().running.keys().any(|(kind, _)| *kind != Kind::Rehearsal) {
                continue;
            }
            let Some(recovered) = self.recover_driver().await else { continue };
            let failed = recovered.err().map(|error| error.to_string());
            if let Some(error) = failed.as_ref().filter(|_| failed != complaint) {
                tracing::warn!(error, "leftovers of an interrupted restore cannot be removed yet");
            }
            complaint = failed;
        }
    }

    /// Waits, but not for long, until nobody else holds the journal: tasks and threads that have ended their work let go
    /// of it a moment later.
    pub(crate) async fn let_go(&self) {
        let alone = async {
            while Arc::strong_count(&self.inner) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Whoever still holds it keeps it until this process ends.
        let _ = tokio::time::timeout(Duration::from_secs(2), alone).await;
    }

    /// Whether a restore is beyond the point up to which it can be stopped.
    pub(crate) fn is_exchanging(&self) -> bool {
        self.state().running.values().any(|running| running.session.is_exchanging())
    }

    /// Removes the objects of an operation, if its folder is still ours, and records whether that is still to be done.
    pub(super) async fn remove_objects(&self, key: &Key) {
        let owned = self.state().entries.get(key).and_then(|entry| entry.owned.clone());
        let Some(objects) = owned else { return };
        let folder = BackupFolder::parse(&objects.object_prefix, &objects.backup_id);
        let removed = match (self.inner.settings.stores.get(&objects.store), folder) {
            (Some(store), Ok(folder)) => {
                // An upload that cannot be aborted, perhaps for want of a permission, does not keep the objects.
                let aborted = self.abort_uploads(&objects.store, Some(folder.path())).await;
                let deleted = store.delete_owned(&folder, &objects.owner).await;
                aborted.and(deleted).map_err(|error| error.to_string())
            }
            (None, _) => Err(format!("the store {} is no longer configured", objects.store)),
            (_, Err(error)) => Err(error.to_string()),
        };
        if let Err(error) = &removed {
            tracing::warn!(id = key.1, error, "partial objects are not removed yet");
        }
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(key) {
            entry.cleanup_pending = removed.is_err();
            if removed.is_ok() {
                entry.owned = None;
            }
            if let Err(error) = self.inner.journal.save(entry) {
                tracing::error!(%error, "a record cannot be written");
            }
        }
    }

    /// Only before anything runs: later, what is there is in use.
    async fn sweep_rehearsals(&self) {
        let rehearsals = Arc::clone(&self.inner.settings.rehearsals);
        let swept = tokio::task::spawn_blocking(move || rehearsals.sweep()).await;
        if let Err(error) = swept.unwrap_or_else(|error| Err(error.into())) {
            tracing::error!(%error, "what an interrupted rehearsal has left stays");
        }
    }

    /// None: a restore or another recovery is at work.
    async fn recover_driver(&self) -> Option<Result<(), DriverError>> {
        let alone = Arc::clone(&self.inner.exclusive).try_lock_owned().ok()?;
        let driver = self.driver();
        let recovered = tokio::task::spawn_blocking(move || {
            // Held by the thread, which goes on when nobody waits for it any longer.
            let _alone = alone;
            driver.recover(&LimitedSession::new(RECOVERY_LIMIT))
        });
        let broken = |error| Err(DriverError::data_service(format!("looking for leftovers failed: {error}")));
        Some(recovered.await.unwrap_or_else(broken))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::drivers::{Driver, Loaded};
    use crate::operations::Settings;
    use crate::session::Session;

    /// Counts how often it is asked to recover.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Driver for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn stream_version(&self) -> u32 {
            1
        }

        fn version(&self, _: &Session) -> Result<Option<String>, DriverError> {
            Ok(None)
        }

        fn estimate(&self, _: &Session) -> Result<Option<u64>, DriverError> {
            Ok(None)
        }

        fn backup(&self, _: &Session, _: &mut dyn Write) -> Result<(), DriverError> {
            Ok(())
        }

        fn load(&self, _: &Session, _: &str, _: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
            Err(DriverError::Stopped)
        }

        fn recover(&self, _: &Session) -> Result<(), DriverError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_driver_that_was_clean_once_is_asked_again() {
        let directory = tempfile::tempdir().unwrap();
        let driver = Arc::new(Counting::default());
        let settings = Settings {
            driver: driver.clone(),
            archive: None,
            stores: std::collections::BTreeMap::new(),
            rehearsals: Arc::new(crate::scratch::ScratchRoot::new(&directory.path().join("rehearsals"))),
            concurrency: 1,
            chunk_size: 1,
            runtime: tokio::runtime::Handle::current(),
        };
        let operations = Operations::open(settings, directory.path()).unwrap();
        let until = CancellationToken::new();
        let keeping = tokio::spawn(operations.keep_clean_every(Duration::from_millis(1), until.clone()));
        let thrice = async {
            while driver.0.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), thrice).await.unwrap();
        until.cancel();
        keeping.await.unwrap();
    }
}
