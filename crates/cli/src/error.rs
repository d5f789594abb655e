//! Everything that can end a command badly, its exit code, and what the person at the terminal can do next.

use std::fmt::Write as _;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or an input file cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The manager answered with an error.
    #[error("{description}")]
    Api {
        /// HTTP status.
        status: u16,
        /// The error's word, for example `NotFound`.
        word: String,
        /// The error's sentence.
        description: String,
    },
    /// No connection to the manager, or it broke.
    #[error("the manager at {url} cannot be reached: {reason}")]
    Unreachable {
        /// Base URL, without secrets.
        url: String,
        /// What the HTTP library said.
        reason: String,
    },
    /// The manager, or a proxy in its place, answered that it is not healthy.
    #[error("the manager is not healthy")]
    Unhealthy,
    /// The manager's answer makes no sense.
    #[error("the manager's answer is not understood: {0}")]
    Answer(String),
    /// The operation that was waited for did not end well, or not in time.
    #[error("{0}")]
    Failed(String),
    /// Ctrl-C.
    #[error("{0}")]
    Interrupted(String),
    /// A local file or the terminal failed.
    #[error("{0}")]
    Local(String),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Local(error.to_string())
    }
}

impl Error {
    /// The exit code, as `backupctl --help` documents it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Api { status: 400, .. } => 2,
            Self::Api { status: 404, .. } => 3,
            Self::Api { status: 401 | 403 | 409 | 410 | 422 | 423, .. } => 4,
            Self::Api { status: 502..=504, .. } | Self::Unreachable { .. } | Self::Unhealthy => 69,
            Self::Interrupted(_) => 130,
            Self::Api { .. } | Self::Answer(_) | Self::Failed(_) | Self::Local(_) => 1,
        }
    }

    /// Whether the same request may succeed in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Api { status: 502..=504 | 429, .. })
    }

    /// The lines for standard error: what happened, and what to do next where that is known.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = format!("backupctl: {self}\n");
        if let Self::Api { status, word, .. } = self {
            let _ = writeln!(text, "  (the manager answered {status} {word})");
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "  {hint}");
        }
        text
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { reason, .. } if reason.contains("certificate") => Some(
                "The certificate is not trusted: give its authority with --ca-file, or check the host name in --url.",
            ),
            Self::Unreachable { url, reason } if is_tls_on_plain(url, reason) => {
                Some("Plain HTTP seems to be spoken there: try http:// in --url (BACKUPCTL_URL).")
            }
            Self::Unreachable { url, reason } if is_plain_on_tls(url, reason) => {
                Some("TLS may be spoken there: try https:// in --url (BACKUPCTL_URL).")
            }
            Self::Unreachable { .. } => {
                Some("Check --url (BACKUPCTL_URL), and whether the manager API runs there.")
            }
            Self::Api { status, word, .. } => api_hint(*status, word),
            _ => None,
        }
    }
}

fn is_tls_on_plain(url: &str, reason: &str) -> bool {
    url.starts_with("https:") && ["InvalidContentType", "corrupt message"].iter().any(|s| reason.contains(s))
}

/// The server answered with a TLS alert, or hung up.
fn is_plain_on_tls(url: &str, reason: &str) -> bool {
    let signs = ["invalid HTTP", "connection closed before message completed", "reset by peer"];
    url.starts_with("http:") && signs.iter().any(|sign| reason.contains(sign))
}

fn api_hint(status: u16, word: &str) -> Option<&'static str> {
    let hint = match (status, word) {
        (401, _) => {
            "Check --user (BACKUPCTL_USER) and the password (--password-file or BACKUPCTL_PASSWORD), or the token."
        }
        (403, "NotDownloadable") => {
            "Only a done backup made with the instance's current own key can be downloaded: set a key with \
             `backupctl instances config set GUID --encryption-key-file FILE`, then make a new backup."
        }
        (403, _) => "This user may not do that.",
        (404, _) => {
            "See what exists: `backupctl instances list`, `backupctl backups list GUID`, `backupctl restores list GUID`."
        }
        (409, "RestoreInProgress") => {
            "Wait for the restore, or stop it: `backupctl restores list GUID`, `backupctl restores cancel GUID ID`."
        }
        (409, "BackupInProgress") => "Wait for the backup, or stop it: `backupctl backups cancel GUID ID`.",
        (409, "NotUndeletable") => {
            "A backup can be undeleted only while it is marked `deleted`, if it was done, and before its removal has begun; \
             see `backupctl backups show GUID ID`."
        }
        (409, "NotCancellable") => "It has ended already.",
        (409, "AgentUnknown") => {
            "The service broker has not told the address of the instance's backup agent; see `backup_agent_url`."
        }
        (410, _) => {
            "The instance was deleted. A backup of it can be loaded into another one: `backupctl backups undelete GUID ID`, \
             then `backupctl restores create OTHER ID --source-instance GUID`."
        }
        (422, "BackupNonRestorableState") => {
            "Only done backups can be restored; a deleted one may come back with `backupctl backups undelete`."
        }
        (422, "EncryptionKeyTooShort") => "See the bound: `backupctl instances config get GUID`.",
        (423, _) => "A restore uses this backup: wait for it, or `backupctl restores cancel GUID ID`.",
        (429, _) => "Try again in a moment.",
        (500, _) => "This is the manager's own fault; its log has the details under the request's id.",
        (502..=504, _) => {
            "The manager cannot serve now, often because its database is away: backupctl health"
        }
        _ => return None,
    };
    Some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, word: &str) -> Error {
        Error::Api { status, word: word.into(), description: "d".into() }
    }

    #[test]
    fn every_answer_has_its_documented_exit_code() {
        let table = [
            (400, 2),
            (401, 4),
            (403, 4),
            (404, 3),
            (405, 1),
            (409, 4),
            (410, 4),
            (413, 1),
            (422, 4),
            (423, 4),
            (500, 1),
            (502, 69),
            (503, 69),
            (504, 69),
        ];
        for (status, code) in table {
            assert_eq!(api(status, "X").exit_code(), code, "{status}");
        }
        assert_eq!(Error::Usage("u".into()).exit_code(), 2);
    }

    #[test]
    fn a_report_says_what_happened_and_what_to_do_next() {
        let report = api(423, "Locked").report();
        assert!(
            report.starts_with("backupctl: d\n  (the manager answered 423 Locked)\n  A restore uses"),
            "{report}"
        );
    }
}
