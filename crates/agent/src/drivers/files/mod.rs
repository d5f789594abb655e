//! The driver for a directory of files: one tar stream with ownership, modes, times, symbolic and hard links, named pipes
//! sparse files and extended attributes. Sockets are left out, device files refused. A restore unpacks beside
//! the directory and exchanges the two in one step, so it needs the space twice and the directory must not be a mount point.

mod attributes;
mod pack;
pub(super) mod place;
mod scratch;
mod times;
mod unpack;
mod walk;

#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Driver, DriverError, Loaded, Scratch};
use crate::session::Session;
use place::Place;

const NAME: &str = "files";
/// 2: with extended attributes, which agents of version 1 would leave out.
const STREAM_VERSION: u32 = 2;

/// `driver.files` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// The directory that is backed up and replaced by a restore; an absolute path. A symbolic link is followed once,
    /// when the agent starts. A mount point is refused, because nothing can take its place.
    pub directory: PathBuf,
}

/// The driver.
pub(super) struct Files {
    place: Place,
}

impl Files {
    pub(super) fn open(settings: &FilesSettings, _: &Path) -> Result<Self, DriverError> {
        Ok(Self { place: Place::parse(&settings.directory)? })
    }
}

impl Driver for Files {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stream_version(&self) -> u32 {
        STREAM_VERSION
    }

    fn version(&self, _: &Session) -> Result<Option<String>, DriverError> {
        Ok(None)
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        pack::size(self.place.directory(), session).map(Some)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        pack::pack(self.place.directory(), session, out)
    }

    fn load(
        &self,
        session: &Session,
        operation: &str,
        input: &mut dyn Read,
    ) -> Result<Box<dyn Loaded>, DriverError> {
        let fresh = self.place.prepare(operation)?;
        match unpack::unpack(&fresh, session, input) {
            Ok(()) => Ok(Box::new(Unpacked { place: self.place.clone(), fresh })),
            Err(error) => {
                Place::remove_or_log(&fresh);
                Err(error)
            }
        }
    }

    fn recover(&self, _: &Session) -> Result<(), DriverError> {
        self.place.recover()
    }

    fn can_rehearse(&self) -> bool {
        true
    }

    fn scratch(&self, _: &Session, directory: &Path) -> Result<Option<Box<dyn Scratch>>, DriverError> {
        Ok(Some(Box::new(scratch::ScratchFiles::new(directory)?)))
    }
}

/// A directory, complete beside the one in use.
struct Unpacked {
    place: Place,
    fresh: PathBuf,
}

impl Loaded for Unpacked {
    fn commit(self: Box<Self>, _: &Session) -> Result<(), DriverError> {
        self.place.exchange(&self.fresh).inspect_err(|_| Place::remove_or_log(&self.fresh))
    }

    fn discard(self: Box<Self>) {
        Place::remove_or_log(&self.fresh);
    }
}
