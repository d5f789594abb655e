//! A backup's folder in the store: claimed before anything is written to it, given back when the backup fails. Both ends
//! are bounded in time, because a store may hang; what is left then is tried again by [`Operations::keep_clean`].

use std::time::Duration;

use super::entry::{Key, Objects};
use super::registry::Operations;
use crate::pipeline::{Failure, Run};

/// A failed operation does not stay `running` longer than this for a store that hangs.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(60);

impl Operations {
    /// Records that what will be in the folder is ours to remove, then claims it: were it the other way round, a kill
    /// between the two would leave an owner object that nobody knows of. A folder that is not claimed with our random id
    /// is never touched, so the record does no harm when the claim fails.
    pub(super) async fn own_objects(&self, key: &Key, run: &Run, objects: Objects) -> Result<(), Failure> {
        let owner = objects.owner.clone();
        let (this, key) = (self.clone(), key.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let mut state = this.state();
            let Some(entry) = state.entries.get_mut(&key) else { return Ok(()) };
            entry.owned = Some(objects);
            this.inner.journal.save(entry)
        });
        saved.await?.map_err(|error| Failure::new("internal", error.to_string()))?;
        run.unless_stopped(async { Ok(run.store.claim(&run.folder, &owner).await?) }).await
    }

    /// Removes the objects of a failed operation. [`Operations::record_end`] writes down what could not be removed.
    pub(super) async fn clean_up(&self, key: &Key) {
        if tokio::time::timeout(CLEAN_UP_LIMIT, self.remove_objects(key)).await.is_err() {
            tracing::warn!(id = key.1, "the store does not answer; partial objects are not removed yet");
            self.set_pending(key);
        }
    }

    fn set_pending(&self, key: &Key) {
        if let Some(entry) = self.state().entries.get_mut(key) {
            entry.cleanup_pending = entry.owned.is_some();
        }
    }
}
