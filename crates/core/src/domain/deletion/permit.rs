//! What the gate hands out. Whoever deletes something has to show a [`Permit`], and only the gate can make one.

use super::DeletionReason;
use crate::domain::identifiers::BackupId;

/// What is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The status becomes `deleted`; the data stays, and the mark can be taken back.
    Mark,
    /// The objects are deleted, then the row; from its beginning it cannot be taken back.
    Remove,
    /// The partial objects of a failed backup are deleted; its row stays.
    CleanUp,
}

/// The gate's leave to do one step with one backup. It cannot be copied, and nobody else can make one:
///
/// ```compile_fail
/// use backup_core::domain::deletion::{Permit, Step};
/// use backup_core::domain::identifiers::BackupId;
/// let forged = Permit { backup: BackupId(1), step: Step::Remove, reason: todo!() };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    backup: BackupId,
    step: Step,
    reason: DeletionReason,
}

impl Permit {
    pub(super) fn new(backup: BackupId, step: Step, reason: DeletionReason) -> Self {
        Self { backup, step, reason }
    }

    /// With which backup.
    #[must_use]
    pub fn backup(&self) -> BackupId {
        self.backup
    }

    /// What may be done.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &DeletionReason {
        &self.reason
    }
}

/// The gate's refusal: the backup stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which backup.
    pub backup: BackupId,
    /// Why.
    pub reason: DeletionReason,
}
