//! Drivers turn a running data service into one byte stream and back. Each is a file or folder beside this one, a line in
//! [`crate::config::DriverSection`] and a line in [`open`]. They know nothing of stores, keys or HTTP, and run on a
//! thread of their own, so they may block.

mod files;
mod postgresql;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::config::DriverSection;
use crate::session::Session;

pub use files::FilesSettings;
pub use postgresql::PostgresqlSettings;

/// Names of all drivers in this program.
pub(crate) const NAMES: [&str; 2] = [postgresql::NAME, files::NAME];

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

    /// Removes or completes what interrupted calls have left behind. Does nothing when there is nothing.
    ///
    /// # Errors
    /// When the data service cannot be reached; to be called again later.
    fn recover(&self, session: &Session) -> Result<(), DriverError>;
}

/// Data that is complete beside the data in use. The pipeline calls one of the two, after it has seen the end of an
/// unbroken stream or not.
pub(crate) trait Loaded {
    /// Puts the loaded data in the place of the data in use, all or nothing as seen by clients.
    ///
    /// # Errors
    /// When nothing was replaced; the loaded data has then been removed.
    fn commit(self: Box<Self>, session: &Session) -> Result<(), DriverError>;

    /// Removes the loaded data.
    fn discard(self: Box<Self>);
}

/// Why a driver failed.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The data service, its programs or its files failed. Secrets are already redacted.
    #[error("{0}")]
    DataService(String),
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

/// Opens the configured driver; `scratch` is for the temporary files of its programs.
///
/// # Errors
/// When the configuration names what does not exist, for example programs that are not installed.
pub(crate) fn open(section: &DriverSection, scratch: &Path) -> Result<Arc<dyn Driver>, DriverError> {
    match section {
        DriverSection { postgresql: Some(settings), files: None } => {
            Ok(Arc::new(postgresql::Postgresql::open(settings, scratch)?))
        }
        DriverSection { postgresql: None, files: Some(settings) } => {
            Ok(Arc::new(files::Files::open(settings)?))
        }
        _ => Err(DriverError::DataService("exactly one driver must be configured".to_owned())),
    }
}
