//! Drivers turn a running data service into one byte stream and back. Each is a file or folder beside this one and a line
//! below. They know nothing of stores, keys or HTTP, and run on a thread of their own, so they may block.

mod error;
mod own_server;
mod record;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use backup_protocol::Check;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::session::Session;

pub use error::DriverError;
pub(crate) use error::Trouble;
pub use postgresql::PhysicalSettings;
pub(crate) use postgresql::{Physical, physical};

/// Declares the modules, [`NAMES`], [`DriverSection`] and [`open`] from one line per driver: its module, which is also its
/// name and its key in the configuration, its type, and the type of its settings. The driver's type has
/// `fn open(&Settings, scratch: &Path) -> Result<Self, DriverError>`.
macro_rules! drivers {
    ($($name:ident: $driver:ident, $settings:ident;)+) => {
        $(mod $name; pub use $name::$settings;)+

        /// Names of all drivers in this program.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),+];

        /// `driver` of the configuration: one key per driver this program has, exactly one of them given.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct DriverSection {
            $(
                #[doc = concat!("Settings of the driver `", stringify!($name), "`.")]
                #[serde(default)]
                pub $name: Option<$settings>,
            )+
        }

        impl DriverSection {
            /// The names of the drivers that are configured.
            pub(crate) fn given(&self) -> Vec<&'static str> {
                [$(self.$name.is_some().then_some(stringify!($name))),+].into_iter().flatten().collect()
            }
        }

        /// Opens the configured driver; `scratch` is for the temporary files of its programs.
        ///
        /// # Errors
        /// When the configuration names what does not exist, for example programs that are not installed.
        pub(crate) fn open(section: &DriverSection, scratch: &Path) -> Result<Arc<dyn Driver>, DriverError> {
            $(if let Some(settings) = &section.$name {
                return Ok(Arc::new($name::$driver::open(settings, scratch)?));
            })+
            Err(DriverError::data_service("no driver is configured"))
        }
    };
}
drivers! {
    postgresql: Postgresql, PostgresqlSettings;
    files: Files, FilesSettings;
    command: Command, CommandSettings;
    redis: Redis, RedisSettings;
    mariadb: Mariadb, MariadbSettings;
    rabbitmq: Rabbitmq, RabbitmqSettings;
}

/// One kind of data service.
pub(crate) trait Driver: Send + Sync {
    /// The driver's name, which is also the name of the data service in `GET /v1/info`.
    fn name(&self) -> &'static str;

    /// The version of the stream this driver writes and reads.
    fn stream_version(&self) -> u32;

    /// The version of the running data service, when it has one.
    ///
    /// # Errors
    /// When the data service cannot be asked.
    fn version(&self, session: &Session) -> Result<Option<String>, DriverError>;

    /// A guess at the length of the stream [`Self::backup`] would write now.
    ///
    /// # Errors
    /// When the data service cannot be asked.
    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError>;

    /// Writes the whole data service to `out`.
    ///
    /// # Errors
    /// When anything is missing from the stream; what was written must then not be used.
    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError>;

    /// Loads a stream beside the data in use, which stays as it is. `operation` distinguishes what this call leaves
    /// behind when the agent dies. On an error the driver has removed what it loaded.
    ///
    /// # Errors
    /// When the stream or the data service fails.
    fn load(
        &self,
        session: &Session,
        operation: &str,
        input: &mut dyn Read,
    ) -> Result<Box<dyn Loaded>, DriverError>;

    /// As [`Self::load`], and brings the data to a moment, with the log that was stored after the backup.
    ///
    /// # Errors
    /// When the driver has no such log, or as [`Self::load`].
    fn load_at(
        &self,
        _session: &Session,
        _operation: &str,
        _input: &mut dyn Read,
        _moment: Moment,
    ) -> Result<Box<dyn Loaded>, DriverError> {
        Err(DriverError::Content(format!("a backup of {} cannot be restored to a moment", self.name())))
    }

    /// The driver for physical backups of the same server, when this one has it.
    fn physical(&self) -> Option<Arc<Physical>> {
        None
    }

    /// Removes or completes what interrupted calls have left behind. Does nothing when there is nothing.
    ///
    /// # Errors
    /// When the data service cannot be reached; to be called again later.
    fn recover(&self, session: &Session) -> Result<(), DriverError>;

    /// Whether [`Self::scratch`] can give a data service, as far as this program goes; the server's programs may still be
    /// missing.
    fn can_rehearse(&self) -> bool {
        false
    }

    /// Starts an empty data service of this kind below `directory`, which is empty and the caller's to remove. None: this
    /// driver cannot be rehearsed. The data service listens on nothing that others could reach, and is used, checked and
    /// dropped on the calling thread.
    ///
    /// # Errors
    /// When it does not start, for example because the server's programs are not installed.
    fn scratch(
        &self,
        _session: &Session,
        _directory: &Path,
    ) -> Result<Option<Box<dyn Scratch>>, DriverError> {
        Ok(None)
    }
}

/// An empty data service of a driver's kind, made for one rehearsal; gone when dropped, and with the agent. A rehearsal
/// is [`Driver::load`] and [`Loaded::commit`] of [`Scratch::driver`], then [`Scratch::check`].
pub(crate) trait Scratch {
    /// The driver for the scratch data service.
    fn driver(&self) -> &dyn Driver;

    /// Looks at everything that was restored. What is wrong with the data is a failed [`Check`], not an error.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn check(&self, session: &Session) -> Result<Vec<Check>, DriverError>;
}

/// The moment data is brought to.
pub(crate) struct Moment {
    /// Everything committed up to here, and nothing later.
    pub(crate) time: DateTime<Utc>,
    /// The last piece of the log that must be there: all up to the end of the promised window.
    pub(crate) last_piece: Option<String>,
    /// Where the log is.
    pub(crate) log: Arc<dyn LogFeed>,
}

/// The log of a data service, as it was stored. Must not be called from asynchronous code.
pub(crate) trait LogFeed: Send + Sync {
    /// Writes a piece of the log to a new file. False: there is no such piece.
    ///
    /// # Errors
    /// When it cannot be read, decrypted or written.
    fn fetch(&self, name: &str, target: &Path) -> Result<bool, DriverError>;

    /// Whether there is a piece behind this one, which must not be missing then.
    fn continues_after(&self, name: &str) -> bool;
}

/// Data that is complete beside the data in use. The pipeline calls one of the two, after it has seen the end of an
/// unbroken stream or not.
pub(crate) trait Loaded {
    /// What takes long and may still fail after the end of the stream, with the data in use as it is. On an error
    /// [`Loaded::discard`] comes next.
    ///
    /// # Errors
    /// When the data cannot be used.
    fn prepare(&mut self, _session: &Session) -> Result<(), DriverError> {
        Ok(())
    }

    /// Puts the loaded data in the place of the data in use, all or nothing as seen by clients.
    ///
    /// # Errors
    /// When nothing was replaced; the loaded data has then been removed.
    fn commit(self: Box<Self>, session: &Session) -> Result<(), DriverError>;

    /// Removes the loaded data.
    fn discard(self: Box<Self>);
}
