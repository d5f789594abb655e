//! Why something left the happy path: stable words for programs. Documented in `docs/reason-codes.md`.

use std::fmt;

/// `reason_code` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// The agent did not answer within all attempts.
    AgentUnreachable,
    /// The agent refused the request.
    AgentRejected,
    /// The agent no longer knows the operation.
    AgentLostOperation,
    /// The agent was restarted in the middle of the operation.
    AgentInterrupted,
    /// The agent failed for a reason of its own.
    AgentError,
    /// The data service or its tools failed.
    DataServiceError,
    /// The data service did not answer its agent, or went away half-way.
    DataServiceUnreachable,
    /// The data service refused the agent's credentials or rights.
    DataServiceAccessDenied,
    /// The data service, its programs and the backup are of versions that do not fit each other.
    DataServiceVersion,
    /// A program that the agent needs is not installed.
    ProgramMissing,
    /// A disk of the data service or of its agent is full.
    DiskFull,
    /// The backup store failed.
    StoreError,
    /// The deadline passed.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The instance was deleted before the work began.
    InstanceDeleted,
    /// The agent reported success, but the store does not hold what it reported.
    ArtifactIncomplete,
    /// The stored bytes are not those that were written.
    ChecksumMismatch,
    /// The stored bytes could not be decrypted with the recorded key.
    DecryptionFailed,
    /// The configuration no longer has what the operation needs (store, broker, key).
    ConfigurationError,
    /// A rehearsed backup was restored, but something is wrong with what came out.
    CheckFailed,
    /// The agent does not know how to do it.
    NotSupported,
}

impl ReasonCode {
    /// All codes, for documentation and tests.
    pub const ALL: [Self; 21] = [
        Self::AgentUnreachable,
        Self::AgentRejected,
        Self::AgentLostOperation,
        Self::AgentInterrupted,
        Self::AgentError,
        Self::DataServiceError,
        Self::DataServiceUnreachable,
        Self::DataServiceAccessDenied,
        Self::DataServiceVersion,
        Self::ProgramMissing,
        Self::DiskFull,
        Self::StoreError,
        Self::TimedOut,
        Self::Cancelled,
        Self::InstanceDeleted,
        Self::ArtifactIncomplete,
        Self::ChecksumMismatch,
        Self::DecryptionFailed,
        Self::ConfigurationError,
        Self::CheckFailed,
        Self::NotSupported,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentUnreachable => "agent_unreachable",
            Self::AgentRejected => "agent_rejected",
            Self::AgentLostOperation => "agent_lost_operation",
            Self::AgentInterrupted => "agent_interrupted",
            Self::AgentError => "agent_error",
            Self::DataServiceError => "data_service_error",
            Self::DataServiceUnreachable => "data_service_unreachable",
            Self::DataServiceAccessDenied => "data_service_access_denied",
            Self::DataServiceVersion => "data_service_version",
            Self::ProgramMissing => "program_missing",
            Self::DiskFull => "disk_full",
            Self::StoreError => "store_error",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::InstanceDeleted => "instance_deleted",
            Self::ArtifactIncomplete => "artifact_incomplete",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::DecryptionFailed => "decryption_failed",
            Self::ConfigurationError => "configuration_error",
            Self::CheckFailed => "check_failed",
            Self::NotSupported => "not_supported",
        }
    }

    /// Translates the `error.code` of an agent; words this manager does not know become [`Self::AgentError`].
    pub fn from_agent(code: &str) -> Self {
        match code {
            "interrupted" => Self::AgentInterrupted,
            "bad_request" => Self::AgentRejected,
            other => {
                Self::ALL.into_iter().find(|reason| reason.as_str() == other).unwrap_or(Self::AgentError)
            }
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ReasonCode;

    #[test]
    fn an_agents_unknown_word_becomes_agent_error() {
        assert_eq!(ReasonCode::from_agent("store_error"), ReasonCode::StoreError);
        assert_eq!(ReasonCode::from_agent("interrupted"), ReasonCode::AgentInterrupted);
        assert_eq!(ReasonCode::from_agent("disk_full"), ReasonCode::DiskFull);
        assert_eq!(ReasonCode::from_agent("flux_capacitor"), ReasonCode::AgentError);
    }
}
