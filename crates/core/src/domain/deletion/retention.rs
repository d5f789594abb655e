//! The rule of retention (spec 1.6): which finished backups stay, which are marked, which are removed, and why. It
//! prefers to keep whatever it is not sure about.

use chrono::{DateTime, TimeDelta, Utc};

use super::{DeletionFacts, DeletionReason, DeletionRule, Step};
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::BackupId;

/// What retention wants with a backup, or why it keeps it; `newer` counts the newer `done` ones.
pub(super) fn judge(
    rule: &DeletionRule,
    backup: &DeletionFacts,
    newer: usize,
    is_base: bool,
    now: DateTime<Utc>,
) -> Result<(Step, DeletionReason), DeletionReason> {
    let days = rule.retention_days;
    match (backup.status, rule.deleted_at) {
        (BackupStatus::Queued | BackupStatus::Running, _) => Err(DeletionReason::Unfinished),
        (BackupStatus::Done | BackupStatus::Failed, Some(_)) => {
            Ok((Step::Mark, DeletionReason::InstanceDeleted))
        }
        (BackupStatus::Done | BackupStatus::Failed, None) => {
            match protection(rule, backup, newer, is_base, now) {
                Some(reason) => Err(reason),
                None if backup.was_done => Ok((Step::Mark, DeletionReason::Expired { newer, days })),
                None => Ok((Step::Mark, DeletionReason::OldFailure { days })),
            }
        }
        (BackupStatus::Deleted, Some(deleted_at)) => {
            let days = rule.deleted_retention_days;
            match is_over(deleted_at, TimeDelta::try_days(i64::from(days)), now) {
                true => Ok((Step::Remove, DeletionReason::DeletedInstanceOver { days })),
                false => Err(DeletionReason::DeletedInstance { days }),
            }
        }
        (BackupStatus::Deleted, None) => {
            let marked_at = backup.marked_deleted_at.or(backup.finished_at).unwrap_or(now);
            if !is_over(marked_at, TimeDelta::from_std(rule.undo_window).ok(), now) {
                return Err(DeletionReason::UndoWindow);
            }
            // The rule is asked again: since the mark, newer backups may have gone or the rule become stricter.
            match protection(rule, backup, newer, is_base, now) {
                Some(reason) => Err(reason),
                None => Ok((Step::Remove, DeletionReason::UndoWindowOver)),
            }
        }
    }
}

/// The newest `done` base of a live instance that had ended when the retention time began: with it and its log, every
/// moment since can be restored; none while no base is that old, or when no moments are promised.
pub(super) fn needed_base(
    rule: &DeletionRule,
    backups: &[DeletionFacts],
    now: DateTime<Utc>,
) -> Option<BackupId> {
    if !rule.promises_moments || rule.deleted_at.is_some() {
        return None;
    }
    let span = TimeDelta::try_days(i64::from(rule.retention_days));
    let done = backups.iter().filter(|backup| backup.status == BackupStatus::Done);
    let ended = done.filter_map(|backup| Some((backup.window_start?, backup.id)));
    ended.filter(|(start, _)| is_over(*start, span, now)).max().map(|(_, id)| id)
}

/// What the minimum and the promised window say of a backup of a live instance: too few newer `done` ones, or the base
/// of the oldest promised moment.
pub(super) fn need(
    rule: &DeletionRule,
    backup: &DeletionFacts,
    newer: usize,
    is_base: bool,
) -> Option<DeletionReason> {
    if is_base {
        return Some(DeletionReason::NeededForWindow { days: rule.retention_days });
    }
    let required = usize::try_from(rule.min_backup_count).unwrap_or(0);
    let is_needed = rule.deleted_at.is_none() && backup.was_done && newer < required;
    is_needed.then_some(DeletionReason::Needed { newer, required })
}

/// What protects a backup of a live instance, if anything.
fn protection(
    rule: &DeletionRule,
    backup: &DeletionFacts,
    newer: usize,
    is_base: bool,
    now: DateTime<Utc>,
) -> Option<DeletionReason> {
    // A mark changes `finished_at`, and must not make a backup young again; undeleting does, and shall.
    let since = match (backup.status, backup.finished_at) {
        (BackupStatus::Deleted, _) | (_, None) => backup.triggered_at,
        (_, Some(finished_at)) => finished_at.max(backup.triggered_at),
    };
    let days = rule.retention_days;
    if !is_over(since, TimeDelta::try_days(i64::from(days)), now) {
        return Some(DeletionReason::Young { days });
    }
    need(rule, backup, newer, is_base)
}

/// Whether more than `span` has passed since `from`; a span no calendar holds never passes.
fn is_over(from: DateTime<Utc>, span: Option<TimeDelta>, now: DateTime<Utc>) -> bool {
    span.and_then(|span| from.checked_add_signed(span)).is_some_and(|end| end < now)
}
