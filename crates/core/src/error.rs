//! The one error of the core, in the words of the domain: no status codes, no Diesel types.

use backup_objects::StoreError;
use diesel::result::{DatabaseErrorKind, Error as Diesel};

use crate::clients::agent::AgentError;
use crate::clients::broker::BrokerError;
use crate::domain::cipher::CipherError;
use crate::domain::identifiers::{BackupId, RebuildId, ReconciliationId, RehearsalId, RestoreId};

/// Everything that can go wrong in an action. Display is one clause without its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No instance has this name or number.
    #[error("the instance {0} was not found")]
    InstanceNotFound(String),
    /// The instance was deleted; only its backups are left.
    #[error("the instance {0} is deleted")]
    InstanceDeleted(String),
    /// The instance has no backup of this number.
    #[error("the backup {0} was not found")]
    BackupNotFound(BackupId),
    /// The instance has no restore of this number.
    #[error("the restore {0} was not found")]
    RestoreNotFound(RestoreId),
    /// No such rehearsal of the instance.
    #[error("the rehearsal {0} was not found")]
    RehearsalNotFound(RehearsalId),
    /// There was no rebuild of the catalogue of this number, or it is forgotten.
    #[error("the rebuild {0} was not found")]
    RebuildNotFound(RebuildId),
    /// There was no reconciliation of this number, or it is forgotten.
    #[error("the reconciliation {0} was not found")]
    ReconciliationNotFound(ReconciliationId),
    /// There was no reconciliation yet.
    #[error("no reconciliation has been asked for yet")]
    NoReconciliation,
    /// A restore of the backup is queued or running.
    #[error("the backup is used by a restore or a rehearsal")]
    BackupInUse,
    /// Somebody holds the backup.
    #[error("the backup {id} is held: {hold}")]
    BackupHeld {
        /// Which backup.
        id: BackupId,
        /// Why, by whom and until when.
        hold: String,
    },
    /// The operator does not let clients delete what the minimum protects.
    #[error(
        "the backup {id} is one of the newest that have to stay: only {newer} newer done backups exist, {required} are required"
    )]
    BackupNeeded {
        /// Which backup.
        id: BackupId,
        /// `done` backups that are newer.
        newer: usize,
        /// How many there have to be.
        required: usize,
    },
    /// Only a good backup whose removal has not begun can be held.
    #[error("the backup {0} cannot be held: only a good one whose removal has not begun can")]
    NotHoldable(BackupId),
    /// An owner can neither change nor release an operator's hold.
    #[error("the backup {0} is held by an operator, and only operators can change that")]
    HoldOfOperators(BackupId),
    /// The backup is queued or running; it can be cancelled, not deleted.
    #[error("the backup {0} is not finished; cancel it first")]
    BackupUnfinished(BackupId),
    /// A restore into the instance is queued or running.
    #[error("a restore of the instance is in progress")]
    RestoreInProgress,
    /// Another operation of the instance is running.
    #[error("another operation of the instance is running")]
    InstanceBusy,
    /// Only `done` backups can be restored.
    #[error("the backup {id} is {status}; only a done backup can be restored")]
    BackupNotRestorable {
        /// Which backup.
        id: BackupId,
        /// Its status.
        status: &'static str,
    },
    /// Backups of one data service do not fit another.
    #[error("a backup of {found} cannot be restored into {wanted}")]
    DataServiceMismatch {
        /// Data service of the backup.
        found: String,
        /// Data service of the target.
        wanted: String,
    },
    /// No base backup of the instance has a window.
    #[error("the instance {0} cannot be restored to a moment: none of its backups has a window")]
    NoWindow(String),
    /// The moment cannot be restored.
    #[error("the moment {moment} is outside of the window, {start} to {end}")]
    OutsideWindow {
        /// What was asked for.
        moment: String,
        /// The first moment that can be restored.
        start: String,
        /// The last one.
        end: String,
    },
    /// Only `done` backups under the owner's current own key can be downloaded.
    #[error("the backup {0} is not downloadable")]
    NotDownloadable(BackupId),
    /// Only a backup that was marked for removal and whose data is intact can be undeleted.
    #[error("the backup {0} cannot be undeleted")]
    NotUndeletable(BackupId),
    /// Only queued and running operations can be cancelled.
    #[error("it is {0} already and cannot be cancelled")]
    NotCancellable(String),
    /// A value is outside its bounds.
    #[error("{field} is {found}; allowed is {allowed}")]
    Invalid {
        /// Name of the value on the wire.
        field: &'static str,
        /// What was given; never a secret.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// The owner's encryption key is shorter than allowed.
    #[error("encryption_key has {found} characters; at least {allowed} are needed")]
    EncryptionKeyTooShort {
        /// Characters given.
        found: usize,
        /// Characters needed.
        allowed: i32,
    },
    /// The request changes nothing.
    #[error("nothing to change was given")]
    NothingToChange,
    /// Something the database refers to is not in the configuration any more.
    #[error("the {what} {name} is not configured")]
    NotConfigured {
        /// Kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The address of the instance's agent is not known.
    #[error("the address of the backup agent of instance {0} is unknown")]
    AgentUnknown(String),
    /// The store did not do what was asked.
    #[error("the backup store failed")]
    Objects(#[from] StoreError),
    /// The agent did not do what was asked.
    #[error("the backup agent failed")]
    Agent(#[from] AgentError),
    /// The broker's listing could not be used.
    #[error("the service broker failed")]
    Broker(#[from] BrokerError),
    /// An encrypted column could not be read or written.
    #[error("an encrypted column could not be processed")]
    Cipher(#[from] CipherError),
    /// The job is no longer held by this worker: somebody else goes on with it.
    #[error("the job is held by another worker now")]
    LeaseLost,
    /// The move is not along the arrows of a backup's or restore's life; the database refused it.
    #[error("the status move was refused: {0}")]
    StatusMove(String),
    /// The database cannot be reached, or is not writable at the moment.
    #[error("the database is unavailable: {0}")]
    DatabaseUnavailable(String),
    /// The database refused a statement: a defect of ours, or of the schema.
    #[error("the database refused a statement: {0}")]
    Database(String),
    /// Two transactions met; the same again may succeed.
    #[error("two transactions met")]
    Conflict,
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Whether the same again may succeed without anybody changing anything. What the database refused is tried again,
    /// since a newer program may be on its way.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::DatabaseUnavailable(_)
            | Self::Database(_)
            | Self::Conflict
            | Self::InstanceBusy
            // Requested while the deletion was being decided; the next decision knows of it.
            | Self::BackupInUse
            | Self::Broker(_) => true,
            Self::NotConfigured { .. } | Self::AgentUnknown(_) | Self::Cipher(_) | Self::Invalid { .. } => {
                true
            }
            Self::Objects(error) => error.is_retryable(),
            Self::Agent(error) => error.is_retryable(),
            Self::InstanceNotFound(_)
            | Self::InstanceDeleted(_)
            | Self::BackupNotFound(_)
            | Self::RestoreNotFound(_)
            | Self::RehearsalNotFound(_)
            | Self::RebuildNotFound(_)
            | Self::ReconciliationNotFound(_)
            | Self::NoReconciliation
            | Self::NoWindow(_)
            | Self::OutsideWindow { .. }
            | Self::BackupHeld { .. }
            | Self::BackupNeeded { .. }
            | Self::NotHoldable(_)
            | Self::HoldOfOperators(_)
            | Self::BackupUnfinished(_)
            | Self::RestoreInProgress
            | Self::BackupNotRestorable { .. }
            | Self::DataServiceMismatch { .. }
            | Self::NotDownloadable(_)
            | Self::NotUndeletable(_)
            | Self::NotCancellable(_)
            | Self::EncryptionKeyTooShort { .. }
            | Self::NothingToChange
            | Self::LeaseLost
            | Self::StatusMove(_)
            | Self::Internal(_) => false,
        }
    }

    /// The error with its causes, in one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        let Diesel::DatabaseError(kind, info) = &error else {
            return match error {
                Diesel::BrokenTransactionManager => Self::DatabaseUnavailable(error.to_string()),
                other => Self::Database(other.to_string()),
            };
        };
        match (kind, info.constraint_name()) {
            (_, Some("status_move")) => Self::StatusMove(info.message().to_owned()),
            (_, Some("backup_in_use")) => Self::BackupInUse,
            (_, Some("restores_one_unfinished")) => Self::RestoreInProgress,
            (_, Some("running_operations_pkey" | "rehearsals_one_running")) => Self::InstanceBusy,
            // The backup was marked or held between the look at it and the write: the same is refused properly next time.
            (_, Some("backup_restorable" | "backup_held" | "backup_holdable"))
            | (DatabaseErrorKind::SerializationFailure, _) => Self::Conflict,
            _ if is_conflict(info.message()) => Self::Conflict,
            (
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ReadOnlyTransaction,
                _,
            ) => Self::DatabaseUnavailable(info.message().to_owned()),
            _ if is_outage(info.message()) => Self::DatabaseUnavailable(info.message().to_owned()),
            _ => Self::Database(info.message().to_owned()),
        }
    }
}

impl From<r2d2::Error> for Error {
    fn from(error: r2d2::Error) -> Self {
        Self::DatabaseUnavailable(error.to_string())
    }
}

impl From<backup_queue::Error> for Error {
    fn from(error: backup_queue::Error) -> Self {
        match error {
            backup_queue::Error::LeaseLost => Self::LeaseLost,
            backup_queue::Error::Database(error) => error.into(),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Diesel has no kinds for a deadlock and for a lock that was waited for too long.
fn is_conflict(message: &str) -> bool {
    message.contains("deadlock detected") || message.contains("due to lock timeout")
}

/// Diesel gives no SQLSTATE; these are libpq's and the server's own words for being away, starting or stopping.
fn is_outage(message: &str) -> bool {
    [
        "terminating connection",
        "server closed the connection",
        "connection to server",
        "could not connect",
        "the database system is",
        "canceling statement due to statement timeout",
        "no connection to the server",
        "SSL connection has been closed",
        "could not receive data",
        "could not send data",
    ]
    .iter()
    .any(|words| message.contains(words))
}
