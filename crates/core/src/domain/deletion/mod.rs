//! The gate through which every deletion passes: retention's, a client's, that of a deleted instance's backups, and
//! the clean-up after failed ones. One pure function decides for the dry run, for the execution and for tests; it
//! knows neither clock nor database. Who deletes must show the [`Permit`] it gave.

mod facts;
#[cfg(test)]
mod histories;
mod newest;
mod orphan;
mod permit;
mod reason;
mod retention;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use facts::{DeletionFacts, DeletionRule};
pub use orphan::{OrphanFacts, OrphanPermit, ask_for_orphan};
pub use permit::{Permit, Refusal, Step};
pub use reason::DeletionReason;

use self::newest::Newest;
use super::backup::BackupStatus;
use super::identifiers::BackupId;

/// On whose behalf something is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The rule of retention, by which the backups of deleted instances go, too.
    Retention,
    /// A client's `DELETE`: at once, without undo window and retention time.
    Client,
    /// The partial objects of a failed backup.
    Remains,
}

/// The gate's word on one backup.
pub type Verdict = Result<Permit, Refusal>;

/// The gate of one instance at one moment.
///
/// The newest `min_backup_count` `done` backups of a live instance stay, whatever the clock says or said and whatever
/// else was deleted (`the_newest_done_backups_survive_any_sequence_of_causes_under_any_clock`; a client's `DELETE` only
/// where the operator has not left it to the owners). What is held, used by a restore or a rehearsal, or unfinished, no cause touches
/// (`what_is_held_or_in_use_survives_any_sequence_of_causes_under_any_clock`). While moments are promised, retention leaves
/// the base that the oldest promised moment needs (`retention_never_removes_the_base_that_the_promised_window_needs`).
#[derive(Debug)]
pub struct Gate {
    rule: DeletionRule,
    backups: Vec<DeletionFacts>,
    newest: Newest,
    /// The base that the beginning of the promised window needs.
    base: Option<BackupId>,
    now: DateTime<Utc>,
}

impl Gate {
    /// The gate for these facts; `backups` must be all of the instance's, in any order.
    #[must_use]
    pub fn new(rule: DeletionRule, backups: Vec<DeletionFacts>, now: DateTime<Utc>) -> Self {
        let newest = Newest::of(&backups);
        let base = retention::needed_base(&rule, &backups, now);
        Self { rule, backups, newest, base, now }
    }

    /// Asks for one backup.
    ///
    /// # Errors
    /// The refusal, with its reason.
    pub fn ask(&self, cause: Cause, backup: BackupId) -> Verdict {
        match self.backups.iter().find(|facts| facts.id == backup) {
            Some(facts) => self.judge(cause, facts),
            None => Err(Refusal { backup, reason: DeletionReason::Unknown }),
        }
    }

    /// Asks for every backup, in the order of the facts.
    pub fn ask_all(&self, cause: Cause) -> impl Iterator<Item = Verdict> {
        self.backups.iter().map(move |facts| self.judge(cause, facts))
    }

    /// What retention would do with every backup now: the dry run, in the order of the facts.
    pub fn plan(&self) -> impl Iterator<Item = RetentionDecision> {
        self.ask_all(Cause::Retention).map(RetentionDecision::from)
    }

    fn judge(&self, cause: Cause, backup: &DeletionFacts) -> Verdict {
        let judged = match self.veto(backup) {
            Some(reason) => Err(reason),
            None => self.wish(cause, backup),
        };
        match judged {
            Ok((step, reason)) => Ok(Permit::new(backup.id, step, reason)),
            Err(reason) => Err(Refusal { backup: backup.id, reason }),
        }
    }

    /// What no cause overrules.
    fn veto(&self, backup: &DeletionFacts) -> Option<DeletionReason> {
        if matches!(backup.status, BackupStatus::Queued | BackupStatus::Running) {
            return Some(DeletionReason::Unfinished);
        }
        if let Some(hold) = backup.hold.as_ref().filter(|hold| !hold.is_over(self.now)) {
            return Some(DeletionReason::Held(hold.clone()));
        }
        match (backup.is_used_by_restore, backup.is_used_by_rehearsal) {
            (true, _) => Some(DeletionReason::UsedByRestore),
            (false, true) => Some(DeletionReason::UsedByRehearsal),
            (false, false) => None,
        }
    }

    /// What this cause wants with a backup that may be touched, or why it may not.
    fn wish(&self, cause: Cause, backup: &DeletionFacts) -> Result<(Step, DeletionReason), DeletionReason> {
        let newer = self.newest.newer_than(backup);
        let is_base = self.base == Some(backup.id);
        match (cause, &backup.removal_reason) {
            (Cause::Remains, _) => match backup.status == BackupStatus::Failed && backup.has_remains {
                true => Ok((Step::CleanUp, DeletionReason::LeftBehind)),
                false => Err(DeletionReason::NothingLeft),
            },
            // Its objects may be gone by half: to finish it is all that can be done.
            (_, Some(because)) => Ok((Step::Remove, DeletionReason::Begun { because: because.clone() })),
            (Cause::Client, None) => match retention::need(&self.rule, backup, newer, is_base) {
                Some(need) if !self.rule.clients_may_go_below_minimum => Err(need),
                _ => Ok((Step::Remove, DeletionReason::Requested)),
            },
            (Cause::Retention, None) => retention::judge(&self.rule, backup, newer, is_base, self.now),
        }
    }
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

/// Retention's word on one backup, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionDecision {
    /// Which backup.
    pub id: BackupId,
    /// What to do now.
    pub action: RetentionAction,
    /// Why.
    pub reason: DeletionReason,
}

impl From<Verdict> for RetentionDecision {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(permit) => {
                let action = match permit.step() {
                    Step::Mark => RetentionAction::Mark,
                    Step::Remove => RetentionAction::Remove,
                    // It takes nothing from anybody.
                    Step::CleanUp => RetentionAction::Keep,
                };
                Self { id: permit.backup(), action, reason: permit.reason().clone() }
            }
            Err(refusal) => {
                Self { id: refusal.backup, action: RetentionAction::Keep, reason: refusal.reason }
            }
        }
    }
}
