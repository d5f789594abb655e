//! Files of the scratch directory that programs are to read. They have no name from the start, so that nothing of a
//! database's is left behind, whatever kills the agent.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::drivers::DriverError;

/// A file without a name; gone when dropped.
pub(super) struct ScratchFile {
    file: File,
    directory: PathBuf,
}

impl ScratchFile {
    /// Makes an empty one.
    pub(super) fn create(directory: &Path) -> Result<Self, DriverError> {
        let path = directory.join(format!("restore-{}", uuid::Uuid::new_v4().simple()));
        let made = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = made.and_then(|file| fs::remove_file(&path).map(|()| file));
        let failed = |e| DriverError::data_service(format!("could not make {}: {e}", path.display()));
        Ok(Self { file: file.map_err(failed)?, directory: directory.to_owned() })
    }

    /// Adds to its end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        let place = self.directory.display();
        let failed = |e| DriverError::data_service(format!("could not write a file in {place}: {e}"));
        self.file.write_all(bytes).map_err(failed)
    }

    /// Where this agent's programs find it.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    /// Opens it once more, at its beginning.
    pub(super) fn reopen(&self) -> Result<File, DriverError> {
        let place = self.directory.display();
        let failed = |e| DriverError::data_service(format!("could not open a file in {place} again: {e}"));
        File::open(self.path()).map_err(failed)
    }
}
