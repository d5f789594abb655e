//! A backup and its life.

use chrono::{DateTime, Utc};

use super::hold::Hold;
use super::identifiers::{BackupId, EncryptionKeyId, ServiceInstanceId};
use super::rehearsal::Verification;

/// Where a backup stands; the words are the wire's, and no others may appear there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackupStatus {
    /// Recorded, not yet accepted by the agent.
    Queued,
    /// The agent accepted it.
    Running,
    /// Complete, verified and in the store.
    Done,
    /// Ended without success; has a reason code.
    Failed,
    /// Marked for removal; the data may still be in the store.
    Deleted,
}

impl BackupStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Deleted];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the word; none for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a backup of this status is `done`, or was before it was marked.
    pub fn was_done(self, has_reason: bool) -> bool {
        match self {
            Self::Done => true,
            Self::Deleted => !has_reason,
            Self::Queued | Self::Running | Self::Failed => false,
        }
    }

    /// Whether a backup may move from `self` to `next`. The database holds the same table in `check_status_move`;
    /// `the_database_and_the_domain_allow_the_same_moves` compares them.
    pub fn can_become(self, next: Self) -> bool {
        use BackupStatus::{Deleted, Done, Failed, Queued, Running};
        matches!(
            (self, next),
            (Queued, Running | Failed)
                | (Running, Done | Failed)
                | (Done | Failed, Deleted)
                // Undeleting within the undo window.
                | (Deleted, Done)
        )
    }
}

/// One backup, as the manager knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// The manager's number.
    pub id: BackupId,
    /// Whose backup.
    pub instance: ServiceInstanceId,
    /// Name towards agents and in the store.
    pub backup_id: String,
    /// Where it stands.
    pub status: BackupStatus,
    /// Asked for by the schedule, not by a person.
    pub is_scheduled: bool,
    /// The key it was made with.
    pub encryption_key: EncryptionKeyId,
    /// Whether that key is the owner's current own key, which makes a `done` backup downloadable.
    pub has_current_own_key: bool,
    /// Name of the store it lies in.
    pub store: String,
    /// Objects lie below `<object_prefix>/<backup_id>/`.
    pub object_prefix: String,
    /// Stored bytes; 0 until known.
    pub size: i64,
    /// SHA-256 over the stored bytes, hexadecimal.
    pub checksum: Option<String>,
    /// Filters in the order they were applied.
    pub filter_plugins: Vec<String>,
    /// Plain bytes the agent has read so far.
    pub bytes_processed: i64,
    /// The agent's estimate of `bytes_processed` at the end.
    pub total_bytes_estimate: Option<i64>,
    /// Why it left the happy path.
    pub reason_code: Option<String>,
    /// The same for a person.
    pub msg: Option<String>,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// When the agent accepted it.
    pub started_at: Option<DateTime<Utc>>,
    /// Time of the last status change, once it has left `running`.
    pub finished_at: Option<DateTime<Utc>>,
    /// Last change of the row.
    pub updated_at: DateTime<Utc>,
    /// When it was marked for removal.
    pub marked_deleted_at: Option<DateTime<Utc>>,
    /// Its removal has begun, and why: from then on it cannot be taken back.
    pub removal_reason: Option<String>,
    /// Partial objects of a failed backup are still to be removed.
    pub has_remains: bool,
    /// A restore of this backup is queued or running.
    pub is_used_by_restore: bool,
    /// The hold that is in force.
    pub hold: Option<Hold>,
    /// Why the last removal failed.
    pub removal_error: Option<String>,
    /// What rehearsals say of it, once one came to a verdict.
    pub verification: Option<Verification>,
}

impl Backup {
    /// Whether it can be held: it is good, and its removal has not begun. The database holds the same rule in
    /// `check_backup_holdable`.
    pub fn is_holdable(&self) -> bool {
        self.status.was_done(self.reason_code.is_some()) && self.removal_reason.is_none()
    }

    /// Whether the owner may download it (spec 1.8), if downloads are allowed at all.
    pub fn is_downloadable(&self) -> bool {
        is_downloadable(self.status, self.has_current_own_key)
    }
}

fn is_downloadable(status: BackupStatus, has_current_own_key: bool) -> bool {
    status == BackupStatus::Done && has_current_own_key
}

/// What an instance object shows of each of its backups: lists of instances have very many of them.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupSummary {
    /// See [`Backup::id`].
    pub id: BackupId,
    /// See [`Backup::instance`].
    pub instance: ServiceInstanceId,
    /// See [`Backup::backup_id`].
    pub backup_id: String,
    /// See [`Backup::status`].
    pub status: BackupStatus,
    /// See [`Backup::size`].
    pub size: i64,
    /// See [`Backup::has_current_own_key`].
    pub has_current_own_key: bool,
    /// See [`Backup::msg`].
    pub msg: Option<String>,
    /// See [`Backup::triggered_at`].
    pub triggered_at: DateTime<Utc>,
    /// See [`Backup::updated_at`].
    pub updated_at: DateTime<Utc>,
}

impl BackupSummary {
    /// See [`Backup::is_downloadable`].
    pub fn is_downloadable(&self) -> bool {
        is_downloadable(self.status, self.has_current_own_key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::BackupStatus::{self, Deleted, Done, Failed, Queued, Running};

    proptest! {
        /// However a backup is pushed about, it never leaves the arrows: it cannot be good without having run, and
        /// nothing that ended is begun again.
        #[test]
        fn no_sequence_of_moves_leaves_the_arrows(wishes in prop::collection::vec(0_usize..5, 0..30)) {
            let (mut status, mut history) = (Queued, vec![Queued]);
            for wish in wishes {
                let next = BackupStatus::ALL[wish];
                if status.can_become(next) {
                    status = next;
                    history.push(next);
                }
            }
            let first = |wanted| history.iter().position(|status| *status == wanted);
            prop_assert!(first(Done).is_none_or(|done| first(Running) < Some(done)) || first(Deleted) < first(Done));
            let ended = history.iter().position(|status| matches!(status, Done | Failed | Deleted));
            if let Some(ended) = ended {
                prop_assert!(history[ended..].iter().all(|status| !matches!(status, Queued | Running)));
            }
        }
    }

    #[test]
    fn every_status_is_read_back_from_its_word() {
        for status in BackupStatus::ALL {
            assert_eq!(BackupStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(BackupStatus::parse("available"), None);
    }
}
