//! A driver's note to its next start: one JSON file in the scratch directory that is either whole or not there, and on the
//! disk when a call returns. Only the agent's user may read it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DriverError;

/// The note of one driver.
#[derive(Debug)]
pub(super) struct Record<T> {
    path: PathBuf,
    content: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Record<T> {
    /// The file `name` in the scratch directory, which need not exist.
    pub(super) fn at(scratch: &Path, name: &str) -> Self {
        Self { path: scratch.join(name), content: PhantomData }
    }

    /// What was noted last, unless it was removed.
    pub(super) fn read(&self) -> Result<Option<T>, DriverError> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(self.failed("read"))?,
        };
        let unclear = |e| DriverError::data_service(format!("{} is unclear: {e}", self.path.display()));
        serde_json::from_slice(&bytes).map(Some).map_err(unclear)
    }

    /// For the beginning of a backup: what an interrupted restore has left half done must not be read as if it were whole.
    pub(super) fn refuse_while_there(&self) -> Result<(), DriverError> {
        match self.path.try_exists().map_err(self.failed("read"))? {
            false => Ok(()),
            true => Err(DriverError::data_service(
                "an interrupted restore could not be ended yet; the log says why, and the next start tries again",
            )),
        }
    }

    /// Replaces the note.
    pub(super) fn write(&self, content: &T) -> Result<(), DriverError> {
        let fresh = self.path.with_extension("new");
        let written = serde_json::to_vec(content).map_err(Into::into).and_then(|bytes| {
            let mut options = File::options();
            let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)?;
            self.sync_directory()
        });
        written.map_err(self.failed("write"))
    }

    /// Removes the note, if there is one.
    pub(super) fn remove(&self) -> Result<(), DriverError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.sync_directory()).map_err(self.failed("remove")),
        }
    }

    fn sync_directory(&self) -> std::io::Result<()> {
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }

    fn failed(&self, verb: &'static str) -> impl FnOnce(std::io::Error) -> DriverError {
        let path = self.path.display().to_string();
        move |error| DriverError::data_service(format!("could not {verb} {path}: {error}"))
    }
}
