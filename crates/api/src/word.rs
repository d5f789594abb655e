//! The words of errors: the one list of what can stand in `error`, with status, meaning and an example for the
//! OpenAPI document. `error.rs` says which error of the core has which word.

use actix_web::http::StatusCode;

macro_rules! words {
    ($($(#[doc = $meaning:literal])+ $word:ident: $status:ident, $example:literal;)+) => {
        /// What stands in `error`. Each word belongs to one status; a status may have several words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Word {
            $($(#[doc = $meaning])+ $word,)+
        }

        impl Word {
            /// Every word.
            pub(crate) const ALL: &[Self] = &[$(Self::$word,)+];

            /// The word as it is on the wire.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word),)+ }
            }

            /// The status it comes with.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$word => StatusCode::$status,)+ }
            }

            /// What it says about the request.
            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Self::$word => concat!($($meaning,)+).trim_ascii(),)+ }
            }

            /// A description it may come with.
            pub(crate) fn example(self) -> &'static str {
                match self { $(Self::$word => $example,)+ }
            }
        }
    };
}

words! {
    /// The request cannot be understood; the description names what is wrong with it.
    BadRequest: BAD_REQUEST, "The id of a backup is a whole number.";
    /// Credentials are missing or wrong.
    Unauthorized: UNAUTHORIZED, "User name and password are needed and must be right.";
    /// The credentials are right, but their user may not do this.
    Forbidden: FORBIDDEN, "An auditor may only read.";
    /// The backup is not `downloadable`.
    NotDownloadable: FORBIDDEN, "The backup 3 is not downloadable.";
    /// The instance, the backup, the restore or the rebuild does not exist.
    NotFound: NOT_FOUND, "The instance 7c9e6679-7425-40de-944b-e07fc1f90ae7 was not found.";
    /// The path exists, but not with this method; `Allow` has those it has.
    MethodNotAllowed: METHOD_NOT_ALLOWED, "The path does not support this method.";
    /// The request did not arrive in time.
    RequestTimeout: REQUEST_TIMEOUT, "The request did not arrive in time.";
    /// The backup is not finished; it can be cancelled.
    BackupInProgress: CONFLICT, "The backup 3 is not finished; cancel it first.";
    /// Another restore into the instance is not finished.
    RestoreInProgress: CONFLICT, "A restore of the instance is in progress.";
    /// Another operation of the instance is running.
    InstanceBusy: CONFLICT, "Another operation of the instance is running.";
    /// Only an automatic deletion can be taken back, and only in the undo window.
    NotUndeletable: CONFLICT, "The backup 3 cannot be undeleted.";
    /// Only what is queued or running can be cancelled.
    NotCancellable: CONFLICT, "It is done already and cannot be cancelled.";
    /// The address of the instance's agent is not known.
    AgentUnknown: CONFLICT, "The address of the backup agent of instance 7c9e6679-7425-40de-944b-e07fc1f90ae7 is unknown.";
    /// The instance is deleted; only its backups are left.
    Gone: GONE, "The instance 7c9e6679-7425-40de-944b-e07fc1f90ae7 is deleted.";
    /// The body is larger than 64 KiB.
    PayloadTooLarge: PAYLOAD_TOO_LARGE, "The body is larger than 65536 bytes.";
    /// The body is neither JSON nor a form.
    UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE, "The body must be application/json or application/x-www-form-urlencoded.";
    /// The range begins after the last byte; `Content-Range` has the length.
    RangeNotSatisfiable: RANGE_NOT_SATISFIABLE, "The backup has 1048576 bytes.";
    /// Only a `done` backup can be restored.
    BackupNonRestorableState: UNPROCESSABLE_ENTITY, "The backup 3 is failed; only a done backup can be restored.";
    /// A backup of one data service does not fit another.
    DataServiceMismatch: UNPROCESSABLE_ENTITY, "A backup of mysql cannot be restored into postgresql.";
    /// A value is outside of its bounds; the description names the field and the bounds.
    InvalidValue: UNPROCESSABLE_ENTITY, "retention_time is -1; allowed is 0 to 36500.";
    /// The encryption key is shorter than the instance's `min_encryption_key_length`.
    EncryptionKeyTooShort: UNPROCESSABLE_ENTITY, "encryption_key has 5 characters; at least 8 are needed.";
    /// The body changes nothing.
    NothingToChange: UNPROCESSABLE_ENTITY, "Nothing to change was given.";
    /// A restore uses the backup.
    Locked: LOCKED, "The backup is used by a restore.";
    /// Too many failed logins; wait as long as `Retry-After` says.
    TooManyRequests: TOO_MANY_REQUESTS, "Too many failed logins; try again later.";
    /// A defect of the manager's; its log has more under the `X-Request-Id`.
    InternalServerError: INTERNAL_SERVER_ERROR, "Something went wrong inside the backup manager; X-Request-Id finds it in its logs.";
    /// The instance's backup agent failed.
    BackupAgentFailed: BAD_GATEWAY, "The backup agent failed.";
    /// A service broker failed.
    ServiceBrokerFailed: BAD_GATEWAY, "The service broker failed.";
    /// The backup store failed, or does not hold the whole backup.
    BackupStoreFailed: BAD_GATEWAY, "The store does not hold the whole backup.";
    /// The database is away for a moment, or too much is going on; the same request may be sent again.
    ServiceUnavailable: SERVICE_UNAVAILABLE, "The backup manager cannot serve the request at the moment; try again later.";
    /// Something the manager needs is not as it should be; the description says what.
    Unhealthy: SERVICE_UNAVAILABLE, "No running worker serves: backup_agent_backups.";
}
