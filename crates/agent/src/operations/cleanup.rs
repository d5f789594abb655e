//! Removing what operations without success have left: their objects in the store, and what an interrupted restore has
//! left in the data service. What cannot be removed now is tried again until it can.

use std::sync::Arc;
use std::time::Duration;

use backup_objects::BackupFolder;
use backup_protocol::{OperationError, OperationState};
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::entry::{Entry, Key, Kind};
use super::journal::JournalError;
use super::registry::Operations;
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
        let interrupted: Vec<Entry> =
            self.state().entries.values().filter(|e| e.is_running()).cloned().collect();
        let was_restoring = interrupted.iter().any(|entry| entry.kind == Kind::Restore);
        let work = async {
            for entry in &interrupted {
                self.remove_objects(&entry.key()).await;
            }
            self.recover_driver().await
        };
        match tokio::time::timeout(START_WAITS, work).await {
            Ok(true) => {}
            _ => tracing::warn!(
                was_restoring,
                "not everything is cleaned up yet; it goes on while the agent serves"
            ),
        }
        for entry in interrupted {
            let mut state = self.state();
            let Some(entry) = state.entries.get_mut(&entry.key()) else { continue };
            let message = "the agent was stopped or killed during the operation".to_owned();
            let error = OperationError { code: "interrupted".to_owned(), message };
            entry.end(OperationState::Failed, Some(error), Utc::now());
            entry.cleanup_pending = entry.owned.is_some();
            self.inner.journal.save(entry)?;
            tracing::warn!(kind = %entry.kind, id = entry.status.id, "an interrupted operation is recorded as failed");
        }
        self.forget_expired(&mut self.state());
        Ok(())
    }

    /// Tries again what could not be cleaned up, until the token is cancelled.
    pub(crate) async fn keep_clean(self, until: CancellationToken) {
        let mut driver_is_clean = false;
        while tokio::time::timeout(AGAIN_AFTER, until.cancelled()).await.is_err() {
            let pending: Vec<Key> = {
                let mut state = self.state();
                self.forget_expired(&mut state);
                state.entries.values().filter(|entry| entry.cleanup_pending).map(Entry::key).collect()
            };
            for key in pending {
                self.remove_objects(&key).await;
            }
            if !driver_is_clean {
                driver_is_clean = self.recover_driver().await;
            }
        }
    }

    /// Removes the objects of an operation and records whether that is still to be done.
    pub(super) async fn remove_objects(&self, key: &Key) {
        let owned = self.state().entries.get(key).and_then(|entry| entry.owned.clone());
        let Some(objects) = owned else { return };
        let folder = BackupFolder::parse(&objects.object_prefix, &objects.backup_id);
        let removed = match (self.inner.settings.stores.get(&objects.store), folder) {
            (Some(store), Ok(folder)) => store.delete_prefix(folder.path()).await.map_err(|e| e.to_string()),
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

    /// True: the driver has nothing left behind.
    async fn recover_driver(&self) -> bool {
        let Ok(alone) = Arc::clone(&self.inner.exclusive).try_lock_owned() else { return false };
        let driver = self.driver();
        let recovered = tokio::task::spawn_blocking(move || {
            // Held by the thread, which goes on when nobody waits for it any longer.
            let _alone = alone;
            driver.recover(&LimitedSession::new(RECOVERY_LIMIT))
        });
        match recovered.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "leftovers of an interrupted restore cannot be looked for yet");
                false
            }
            Err(_) => false,
        }
    }
}
