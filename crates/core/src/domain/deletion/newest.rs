//! How many newer `done` backups there are: counted by number and by time, so that no clock can push a good one out.

use chrono::{DateTime, Utc};

use super::DeletionFacts;
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::BackupId;

/// The `done` backups in both orders that "newer" can mean. Held ones are among them: a hold makes a backup no worse.
#[derive(Debug)]
pub(super) struct Newest {
    by_id: Vec<BackupId>,
    by_time: Vec<(DateTime<Utc>, BackupId)>,
}

impl Newest {
    pub(super) fn of(backups: &[DeletionFacts]) -> Self {
        let done = || backups.iter().filter(|b| b.status == BackupStatus::Done);
        let mut by_id: Vec<_> = done().map(|b| b.id).collect();
        let mut by_time: Vec<_> = done().map(|b| (b.triggered_at, b.id)).collect();
        by_id.sort_unstable();
        by_time.sort_unstable();
        Self { by_id, by_time }
    }

    /// How many `done` backups are newer by both orders' lesser count.
    pub(super) fn newer_than(&self, backup: &DeletionFacts) -> usize {
        let by_id = self.by_id.partition_point(|id| *id <= backup.id);
        let by_time = self.by_time.partition_point(|key| *key <= (backup.triggered_at, backup.id));
        self.by_id.len().saturating_sub(by_id.max(by_time))
    }
}
