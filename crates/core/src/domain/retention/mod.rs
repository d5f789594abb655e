//! The rule of retention (spec 1.6): which backups of one instance stay, which are marked, which are removed, and why.
//! One pure function for the deletion, for its dry run and for tests; it knows neither clock nor database, and it
//! prefers to keep whatever it is not sure about.

mod reason;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub use reason::RetentionReason;

use super::backup::BackupStatus;
use super::identifiers::BackupId;

/// What the rule needs to know of an instance, defaults already filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionRule {
    /// When the instance was deleted; none for a live one.
    pub deleted_at: Option<DateTime<Utc>>,
    /// So many newest `done` backups of a live instance always stay.
    pub min_backup_count: i32,
    /// Backups of a live instance stay at least so many days.
    pub retention_days: i32,
    /// Backups of a deleted instance stay so many days after its deletion.
    pub deleted_retention_days: i32,
    /// How long an automatically marked backup of a live instance can be undeleted.
    pub undo_window: Duration,
}

/// What the rule needs to know of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionFacts {
    /// Its number; grows with each backup, whatever the clock does.
    pub id: BackupId,
    /// Where it stands.
    pub status: BackupStatus,
    /// It is `done`, or was `done` before it was marked.
    pub was_done: bool,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// Time of its last status change.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was marked.
    pub marked_deleted_at: Option<DateTime<Utc>>,
    /// A client's `DELETE` asked for its removal: neither window nor minimum applies.
    pub remove_at_once: bool,
    /// A restore that is queued or running uses it.
    pub held_by_restore: bool,
}

/// What is to be done with a backup now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetentionAction {
    /// Nothing.
    Keep,
    /// Its status becomes `deleted`; the data stays.
    Mark,
    /// Its objects are deleted, then its row.
    Remove,
}

impl RetentionAction {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Mark, Self::Remove];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Mark => "mark",
            Self::Remove => "remove",
        }
    }
}

/// The rule's word on one backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionDecision {
    /// Which backup.
    pub id: BackupId,
    /// What to do now.
    pub action: RetentionAction,
    /// Why.
    pub reason: RetentionReason,
}

/// Decides on every backup of one instance; `backups` must be all of them, in any order. Decisions come in the
/// order of `backups`.
///
/// The newest `min_backup_count` `done` backups of a live instance stay, whatever the clock says or said:
/// `the_newest_done_backups_survive_any_sequence_under_any_clock`. A backup is among the newest when it is so by
/// number *or* by time, so a clock that jumped cannot push a good one out.
#[must_use]
pub fn plan(rule: &RetentionRule, backups: &[RetentionFacts], now: DateTime<Utc>) -> Vec<RetentionDecision> {
    let ranks = Ranks::of(backups);
    let decide = |backup: &RetentionFacts| {
        let (action, reason) = decide(rule, backup, ranks.newer_than(backup), now);
        RetentionDecision { id: backup.id, action, reason }
    };
    backups.iter().map(decide).collect()
}

fn decide(
    rule: &RetentionRule,
    backup: &RetentionFacts,
    newer: usize,
    now: DateTime<Utc>,
) -> (RetentionAction, RetentionReason) {
    use RetentionAction::{Keep, Mark, Remove};
    match backup.status {
        BackupStatus::Queued | BackupStatus::Running => (Keep, RetentionReason::Unfinished),
        _ if backup.held_by_restore => (Keep, RetentionReason::HeldByRestore),
        BackupStatus::Deleted if backup.remove_at_once => (Remove, RetentionReason::Requested),
        BackupStatus::Done | BackupStatus::Failed => match rule.deleted_at {
            Some(_) => (Mark, RetentionReason::InstanceDeleted),
            None => match protection(rule, backup, newer, now) {
                Some(reason) => (Keep, reason),
                None if backup.was_done => {
                    (Mark, RetentionReason::Expired { newer, days: rule.retention_days })
                }
                None => (Mark, RetentionReason::OldFailure { days: rule.retention_days }),
            },
        },
        BackupStatus::Deleted => match rule.deleted_at {
            Some(deleted_at) => {
                let days = rule.deleted_retention_days;
                if is_over(deleted_at, TimeDelta::try_days(i64::from(days)), now) {
                    (Remove, RetentionReason::DeletedInstanceOver { days })
                } else {
                    (Keep, RetentionReason::DeletedInstance { days })
                }
            }
            None => {
                let marked_at = backup.marked_deleted_at.or(backup.finished_at).unwrap_or(now);
                if !is_over(marked_at, TimeDelta::from_std(rule.undo_window).ok(), now) {
                    return (Keep, RetentionReason::UndoWindow);
                }
                // The rule is asked again: since the mark, newer backups may have gone or the rule become stricter.
                match protection(rule, backup, newer, now) {
                    Some(reason) => (Keep, reason),
                    None => (Remove, RetentionReason::UndoWindowOver),
                }
            }
        },
    }
}

/// What protects a backup of a live instance, if anything.
fn protection(
    rule: &RetentionRule,
    backup: &RetentionFacts,
    newer: usize,
    now: DateTime<Utc>,
) -> Option<RetentionReason> {
    // A mark changes `finished_at`, and must not make a backup young again; undeleting does, and shall.
    let since = match (backup.status, backup.finished_at) {
        (BackupStatus::Deleted, _) | (_, None) => backup.triggered_at,
        (_, Some(finished_at)) => finished_at.max(backup.triggered_at),
    };
    let days = rule.retention_days;
    if !is_over(since, TimeDelta::try_days(i64::from(days)), now) {
        return Some(RetentionReason::Young { days });
    }
    let required = usize::try_from(rule.min_backup_count).unwrap_or(0);
    (backup.was_done && newer < required).then_some(RetentionReason::Needed { newer, required })
}

/// Whether more than `span` has passed since `from`; a span no calendar holds never passes.
fn is_over(from: DateTime<Utc>, span: Option<TimeDelta>, now: DateTime<Utc>) -> bool {
    span.and_then(|span| from.checked_add_signed(span)).is_some_and(|end| end < now)
}

/// The `done` backups in both orders that "newer" can mean.
struct Ranks {
    by_id: Vec<BackupId>,
    by_time: Vec<(DateTime<Utc>, BackupId)>,
}

impl Ranks {
    fn of(backups: &[RetentionFacts]) -> Self {
        let done = || backups.iter().filter(|b| b.status == BackupStatus::Done);
        let mut by_id: Vec<_> = done().map(|b| b.id).collect();
        let mut by_time: Vec<_> = done().map(|b| (b.triggered_at, b.id)).collect();
        by_id.sort_unstable();
        by_time.sort_unstable();
        Self { by_id, by_time }
    }

    /// How many `done` backups are newer by both orders' lesser count.
    fn newer_than(&self, backup: &RetentionFacts) -> usize {
        let by_id = self.by_id.partition_point(|id| *id <= backup.id);
        let by_time = self.by_time.partition_point(|key| *key <= (backup.triggered_at, backup.id));
        self.by_id.len().saturating_sub(by_id.max(by_time))
    }
}
