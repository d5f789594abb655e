//! The directory in use and what lies beside it during a restore. Names beside it begin with `.NAME.backup-agent-`, so
//! that leftovers of a killed agent are found without any record of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::drivers::DriverError;

/// No operation has a space in its id.
const ASIDE: &str = "set aside";

/// A directory that can be replaced as a whole.
#[derive(Debug, Clone)]
pub(super) struct Place {
    directory: PathBuf,
    parent: PathBuf,
    /// Beginning of the names beside the directory.
    beside: OsString,
}

impl Place {
    pub(super) fn parse(directory: &Path) -> Result<Self, DriverError> {
        let parts = (directory.parent(), directory.file_name());
        let (Some(parent), Some(name), true) = (parts.0, parts.1, directory.is_absolute()) else {
            let message = format!("{} is not an absolute path below the root", directory.display());
            return Err(DriverError::DataService(message));
        };
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(".backup-agent-");
        Ok(Self { directory: directory.to_owned(), parent: parent.to_owned(), beside })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes an empty directory beside the one in use.
    pub(super) fn prepare(&self, operation: &str) -> Result<PathBuf, DriverError> {
        let fresh = self.beside(operation);
        fs::create_dir(&fresh).map_err(failed("create", &fresh))?;
        Ok(fresh)
    }

    /// Exchanges the fresh directory with the one in use, durably, and removes the old one.
    pub(super) fn exchange(&self, fresh: &Path) -> Result<(), DriverError> {
        let swapped =
            match renameat2(AT_FDCWD, fresh, AT_FDCWD, &self.directory, RenameFlags::RENAME_EXCHANGE) {
                Err(Errno::ENOENT) => fs::rename(fresh, &self.directory),
                // The file system knows no exchange: two renames, repaired by `recover` if we die between them.
                Err(Errno::EINVAL | Errno::ENOSYS) => self.rename_twice(fresh),
                other => other.map_err(Into::into),
            };
        swapped.map_err(failed("replace", &self.directory))?;
        // From here on the new data is in use, so nothing below may report a failure.
        if let Err(error) = sync_directory(&self.parent) {
            tracing::error!(%error, directory = %self.parent.display(), "a replaced directory is not synced");
        }
        Self::remove_or_log(fresh);
        Self::remove_or_log(&self.beside(ASIDE));
        Ok(())
    }

    /// Puts back a directory that was set aside without a replacement, and removes everything else of ours.
    pub(super) fn recover(&self) -> Result<(), DriverError> {
        let aside = self.beside(ASIDE);
        if aside.exists() && !self.directory.exists() {
            fs::rename(&aside, &self.directory).map_err(failed("put back", &self.directory))?;
        }
        let entries = fs::read_dir(&self.parent).map_err(failed("list", &self.parent))?;
        for entry in entries {
            let entry = entry.map_err(failed("list", &self.parent))?;
            let ours = entry.file_name().as_encoded_bytes().starts_with(self.beside.as_encoded_bytes());
            if ours {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes a directory that nobody uses; a failure leaves it to [`Place::recover`].
    pub(super) fn remove_or_log(path: &Path) {
        if let Err(error) = remove(path) {
            tracing::warn!(%error, "a leftover stays until the next start");
        }
    }

    fn rename_twice(&self, fresh: &Path) -> std::io::Result<()> {
        let aside = self.beside(ASIDE);
        fs::rename(&self.directory, &aside)?;
        fs::rename(fresh, &self.directory).inspect_err(|_| {
            // Put back what was there; `recover` tries again should this fail too.
            let _ = fs::rename(&aside, &self.directory);
        })
    }

    fn beside(&self, operation: &str) -> PathBuf {
        let mut name = self.beside.clone();
        // Names of 200 characters and more would not fit.
        name.push(operation.chars().take(64).collect::<String>());
        self.parent.join(name)
    }
}

fn remove(path: &Path) -> Result<(), DriverError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Names the path in an error of the operating system.
pub(super) fn failed<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> DriverError + 'a {
    move |error| DriverError::DataService(format!("could not {verb} {}: {error}", path.display()))
}
