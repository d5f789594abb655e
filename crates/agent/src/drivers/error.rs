//! Why drivers fail, in words a machine can tell apart.

/// Why a driver failed.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The data service, its programs or its files failed.
    #[error("{message}")]
    DataService {
        /// What kind of trouble it is.
        trouble: Trouble,
        /// For a person; secrets are already redacted.
        message: String,
    },
    /// The driver's stream could not be read or written.
    #[error("the stream of the backup failed: {0}")]
    Stream(#[source] std::io::Error),
    /// The stream is not one this driver wrote, or of a version it does not know.
    #[error("the content of the backup cannot be restored: {0}")]
    Content(String),
    /// The session was stopped.
    #[error("stopped")]
    Stopped,
}

impl DriverError {
    /// The data service failed; the kind of trouble is read from the message, which ends with the words of the data
    /// service, its programs or the operating system.
    pub(crate) fn data_service(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::DataService { trouble: Trouble::read(&message), message }
    }

    /// The data service failed, and the driver knows how.
    pub(crate) fn of(trouble: Trouble, message: impl Into<String>) -> Self {
        Self::DataService { trouble, message: message.into() }
    }

    /// The same error; when rights are missing, with what to do about it at the end of its message.
    #[must_use]
    pub(crate) fn or_grant(self, hint: &str) -> Self {
        match self {
            Self::DataService { trouble: Trouble::AccessDenied, message } => {
                Self::DataService { trouble: Trouble::AccessDenied, message: format!("{message}; {hint}") }
            }
            other => other,
        }
    }

    /// The same error, with the place in front of its message.
    #[must_use]
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::DataService { trouble, message } => {
                Self::DataService { trouble, message: format!("{place}: {message}") }
            }
            other => other,
        }
    }
}

/// Kinds of trouble with a data service that call for different remedies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// None of the others.
    Failed,
    /// Nothing answers, or it went away half-way.
    Unreachable,
    /// The data service refuses the agent's credentials or rights.
    AccessDenied,
    /// The data service, its programs and the backup do not fit each other.
    WrongVersion,
    /// A program the driver needs is not installed.
    ProgramMissing,
    /// A file system is full, or a quota used up.
    DiskFull,
}

/// What programs, servers and the operating system say, in lower case. The first line that fits decides.
const WORDS: &[(&str, Trouble)] = &[
    ("no space left on device", Trouble::DiskFull),
    ("disk quota exceeded", Trouble::DiskFull),
    ("file too large", Trouble::DiskFull),
    ("could not extend file", Trouble::DiskFull),
    ("failed to execute", Trouble::ProgramMissing),
    ("unsupported version", Trouble::WrongVersion),
    ("server version mismatch", Trouble::WrongVersion),
    ("password authentication failed", Trouble::AccessDenied),
    ("no password supplied", Trouble::AccessDenied),
    ("no pg_hba.conf entry", Trouble::AccessDenied),
    ("pg_hba.conf rejects", Trouble::AccessDenied),
    ("must be a superuser", Trouble::AccessDenied),
    ("must be superuser", Trouble::AccessDenied),
    ("only superuser", Trouble::AccessDenied),
    ("must be owner of", Trouble::AccessDenied),
    ("permission denied", Trouble::AccessDenied),
    ("operation not permitted", Trouble::AccessDenied),
    ("read-only file system", Trouble::AccessDenied),
    ("authentication failed", Trouble::AccessDenied),
    ("is not permitted to log in", Trouble::AccessDenied),
    ("access denied", Trouble::AccessDenied),
    ("connection refused", Trouble::Unreachable),
    ("could not translate host name", Trouble::Unreachable),
    ("server closed the connection", Trouble::Unreachable),
    ("terminating connection due to", Trouble::Unreachable),
    ("the database system is", Trouble::Unreachable),
    ("connection reset", Trouble::Unreachable),
    ("timeout expired", Trouble::Unreachable),
    ("is the server running", Trouble::Unreachable),
    // MariaDB.
    ("error 1114 ", Trouble::DiskFull),
    ("errcode: 28 ", Trouble::DiskFull),
    ("can't connect to", Trouble::Unreachable),
    ("lost connection to", Trouble::Unreachable),
    ("server has gone away", Trouble::Unreachable),
    ("server shutdown in progress", Trouble::Unreachable),
    ("unknown server host", Trouble::Unreachable),
];

impl Trouble {
    /// `error.code` of the protocol.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Failed => "data_service_error",
            Self::Unreachable => "data_service_unreachable",
            Self::AccessDenied => "data_service_access_denied",
            Self::WrongVersion => "data_service_version",
            Self::ProgramMissing => "program_missing",
            Self::DiskFull => "disk_full",
        }
    }

    fn read(message: &str) -> Self {
        let message = message.to_lowercase();
        let known = WORDS.iter().find(|(words, _)| message.contains(words));
        known.map_or(Self::Failed, |(_, trouble)| *trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_servers_and_programs_decide_the_code() {
        for (message, code) in [
            (
                "psql ended with exit code 2: FATAL:  password authentication failed for user \"x\"",
                "data_service_access_denied",
            ),
            ("could not write /x: No space left on device (os error 28)", "disk_full"),
            (
                "connection to server at \"127.0.0.1\", port 1 failed: Connection refused",
                "data_service_unreachable",
            ),
            ("something else", "data_service_error"),
        ] {
            assert_eq!(Trouble::read(message).code(), code, "{message}");
        }
    }
}
