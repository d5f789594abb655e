//! A rehearsal: a backup is restored into a scratch data service, looked at, and thrown away again. Its life is that of a
//! restore. Whatever comes of it, the backup's status stays; what it says of the backup is its [`Verdict`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::identifiers::{BackupId, RehearsalId, ServiceInstanceId};
use super::reason::ReasonCode;
pub use super::restore::RestoreStatus as RehearsalStatus;

/// What a rehearsal says of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It was restored, and what came out is as it should be.
    Passed,
    /// It could not be restored, or something is wrong with what came out.
    Failed,
}

impl Verdict {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Passed, Self::Failed];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }

    /// Reads the word; none for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }

    /// What a failure says of the backup; none when it came from elsewhere, so that nothing is known.
    pub fn of_failure(reason: ReasonCode) -> Option<Self> {
        match reason {
            ReasonCode::AgentUnreachable
            | ReasonCode::AgentLostOperation
            | ReasonCode::AgentInterrupted
            | ReasonCode::TimedOut
            | ReasonCode::Cancelled
            | ReasonCode::InstanceDeleted
            | ReasonCode::ConfigurationError
            | ReasonCode::NotSupported
            // What the machine of the rehearsal lacks, the backup cannot help.
            | ReasonCode::DataServiceUnreachable
            | ReasonCode::DataServiceAccessDenied
            | ReasonCode::DataServiceVersion
            | ReasonCode::ProgramMissing
            | ReasonCode::DiskFull => None,
            ReasonCode::AgentRejected
            | ReasonCode::AgentError
            | ReasonCode::DataServiceError
            | ReasonCode::StoreError
            | ReasonCode::ArtifactIncomplete
            | ReasonCode::ChecksumMismatch
            | ReasonCode::DecryptionFailed
            | ReasonCode::CheckFailed => Some(Self::Failed),
        }
    }
}

/// What rehearsals say of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Of the newest rehearsal that came to one.
    pub verdict: Verdict,
    /// When a rehearsal last passed.
    pub last_verified_at: Option<DateTime<Utc>>,
    /// How long the restore took in that one, in milliseconds.
    pub restore_ms: Option<i64>,
}

/// One thing that was looked at, as the agent reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// For a person.
    pub detail: String,
}

/// One rehearsal, as the manager knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// The manager's number.
    pub id: RehearsalId,
    /// The instance whose agent does it.
    pub instance: ServiceInstanceId,
    /// What is rehearsed; the backup itself may be gone by now.
    pub backup: BackupId,
    /// Name towards the agent.
    pub rehearsal_id: String,
    /// Asked for by the schedule, not by a person.
    pub is_scheduled: bool,
    /// Where it stands.
    pub status: RehearsalStatus,
    /// Plain bytes given to the scratch data service so far.
    pub bytes_processed: i64,
    /// The agent's estimate of `bytes_processed` at the end.
    pub total_bytes_estimate: Option<i64>,
    /// Why it left the happy path.
    pub reason_code: Option<String>,
    /// The same for a person.
    pub msg: Option<String>,
    /// All of it, in milliseconds.
    pub duration_ms: Option<i64>,
    /// The restore alone, in milliseconds.
    pub restore_ms: Option<i64>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// When the agent accepted it.
    pub started_at: Option<DateTime<Utc>>,
    /// Time of the last status change, once it has left `running`.
    pub finished_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_the_backup_is_a_verdict_on_it() {
        let says_something = |code: &str| Verdict::of_failure(ReasonCode::from_agent(code)).is_some();
        for code in
            ["check_failed", "checksum_mismatch", "decryption_failed", "store_error", "data_service_error"]
        {
            assert!(says_something(code), "{code}");
        }
        for code in ["interrupted", "timed_out", "disk_full", "program_missing", "not_supported"] {
            assert!(!says_something(code), "{code}");
        }
        assert_eq!(Verdict::of_failure(ReasonCode::NotSupported), None);
    }

    #[test]
    fn every_verdict_is_read_back_from_its_word() {
        assert!(Verdict::ALL.into_iter().all(|verdict| Verdict::parse(verdict.as_str()) == Some(verdict)));
    }
}
