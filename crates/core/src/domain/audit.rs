//! The audit trail: what was done to which instance, by whom, from where. What an event says is meant for people and
//! never holds a secret; who acts is in [`Actor`](super::actor::Actor).

use chrono::{DateTime, Utc};

use super::identifiers::ServiceInstanceGuid;

macro_rules! audit_actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What was done. The words are the wire's and the database's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[$doc])* $name,)*
        }

        impl AuditAction {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

audit_actions! {
    /// A backup of one instance was asked for.
    RequestBackup = "request_backup",
    /// A backup of all instances was asked for.
    RequestBackupAll = "request_backup_all",
    /// A restore was asked for; both instances of it get an event.
    RequestRestore = "request_restore",
    /// A rehearsal of a backup was asked for.
    RequestRehearsal = "request_rehearsal",
    /// A rehearsal has shown that a backup cannot be relied upon.
    VerificationFailed = "verification_failed",
    /// The cancellation of a rehearsal was asked for.
    CancelRehearsal = "cancel_rehearsal",
    /// The cancellation of a backup was asked for.
    CancelBackup = "cancel_backup",
    /// The cancellation of a restore was asked for.
    CancelRestore = "cancel_restore",
    /// A client asked for the removal of a backup.
    DeleteBackup = "delete_backup",
    /// Retention marked a backup for removal.
    MarkBackup = "mark_backup",
    /// The mark was taken back.
    UndeleteBackup = "undelete_backup",
    /// A backup is held: nothing deletes it.
    HoldBackup = "hold_backup",
    /// A hold was taken back before its time.
    ReleaseBackup = "release_backup",
    /// A backup is gone, from the store and from the list.
    RemoveBackup = "remove_backup",
    /// What a failed backup had left in the store is gone.
    CleanUpBackup = "clean_up_backup",
    /// The stored bytes of a backup were opened for download.
    DownloadBackup = "download_backup",
    /// An owner's configuration of an instance was changed.
    ConfigureInstance = "configure_instance",
    /// A comparison of the ledgers was asked for; with repairs or without.
    RequestReconciliation = "request_reconciliation",
    /// A difference that a reconciliation had found was repaired.
    RepairDifference = "repair_difference",
    /// A service broker said that an instance is deleted.
    DeleteInstance = "delete_instance",
    /// A search for backups without a row was asked for.
    RebuildCatalogue = "rebuild_catalogue",
    /// A backup that was found in its store got a row.
    AdoptBackup = "adopt_backup",
}

impl AuditAction {
    /// Reads the word; none for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text)
    }
}

/// One event, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its number.
    pub id: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// User name, or `worker`.
    pub actor: String,
    /// Address the request came from.
    pub address: Option<String>,
    /// The word of an [`AuditAction`]; text, because an earlier or later program may have written it.
    pub action: String,
    /// The instance concerned.
    pub instance: Option<String>,
    /// What exactly, for a person.
    pub subject: Option<String>,
    /// The request's id, as in the logs.
    pub request_id: Option<String>,
}

/// Which events are asked for; what is `None` does not narrow them.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this instance.
    pub instance: Option<ServiceInstanceGuid>,
    /// Done by this user, or by `worker`.
    pub actor: Option<String>,
    /// Of this kind.
    pub action: Option<AuditAction>,
    /// At this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Earlier than this moment.
    pub before: Option<DateTime<Utc>>,
    /// Behind this event in the list, which is newest first.
    pub before_id: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::AuditAction;

    #[test]
    fn every_action_is_read_back_from_its_word() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.as_str()), Some(*action));
        }
        assert_eq!(AuditAction::parse("request"), None);
    }
}
