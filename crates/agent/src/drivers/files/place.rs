//! The directory in use and what lies beside it during a restore. Names beside it begin with `.NAME.backup-agent-`, so
//! that leftovers of a killed agent are found without any record of them. Without an atomic exchange the data in use is
//! set aside for a moment; under that name it is never deleted, only under the one that says it was replaced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::drivers::DriverError;

/// No operation has a space in its id.
const ASIDE: &str = "set aside";
const REPLACED: &str = "was replaced";

/// A directory that can be replaced as a whole.
#[derive(Debug, Clone)]
pub(in crate::drivers) struct Place {
    directory: PathBuf,
    parent: PathBuf,
    /// Beginning of the names beside the directory.
    beside: OsString,
}

impl Place {
    /// Follows a symbolic link once and for all. The directory may be absent, but not be anything else.
    pub(in crate::drivers) fn parse(directory: &Path) -> Result<Self, DriverError> {
        let unusable = |reason: &str| DriverError::data_service(format!("{} {reason}", directory.display()));
        if !directory.is_absolute() {
            return Err(unusable("is not an absolute path"));
        }
        let directory = resolve(directory).map_err(failed("find", directory))?;
        let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
            return Err(unusable("is not below the root"));
        };
        match fs::symlink_metadata(&directory) {
            Ok(metadata) if !metadata.is_dir() => return Err(unusable("is not a directory")),
            Ok(metadata) => {
                let above = fs::metadata(parent).map_err(failed("look at", parent))?;
                if above.dev() != metadata.dev() {
                    return Err(unusable(
                        "is a mount point, which a restore cannot replace; configure a directory below it",
                    ));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at", &directory)(error)),
        }
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(".backup-agent-");
        Ok(Self { parent: parent.to_owned(), beside, directory })
    }

    pub(in crate::drivers) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes an empty directory beside the one in use.
    pub(in crate::drivers) fn prepare(&self, operation: &str) -> Result<PathBuf, DriverError> {
        self.put_back()?;
        let fresh = self.beside(operation);
        fs::create_dir(&fresh).map_err(failed("create", &fresh))?;
        Ok(fresh)
    }

    /// Exchanges the fresh directory with the one in use, durably; the old one is then where the fresh one was.
    pub(in crate::drivers) fn swap(&self, fresh: &Path) -> Result<(), DriverError> {
        self.exchange_names(fresh, &self.directory)?;
        sync_directory(&self.parent).map_err(failed("sync", &self.parent))
    }

    /// Whether [`Self::swap`] works here, tried with two empty directories.
    pub(in crate::drivers) fn check_swap(&self) -> Result<(), DriverError> {
        let (one, other) = (self.beside("try 1"), self.beside("try 2"));
        let tried = [&one, &other].into_iter().try_for_each(|path| {
            remove(path)?;
            fs::create_dir(path).map_err(failed("create", path))
        });
        let tried = tried.and_then(|()| self.exchange_names(&one, &other));
        [&one, &other].into_iter().for_each(|path| Self::remove_or_log(path));
        tried
    }

    fn exchange_names(&self, one: &Path, other: &Path) -> Result<(), DriverError> {
        let swapped = renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
        swapped.map_err(|error| {
            let (one, other) = (one.display(), other.display());
            DriverError::data_service(format!("{one} and {other} cannot be exchanged in one step: {error}"))
        })
    }

    /// Exchanges the fresh directory with the one in use, durably, and removes the old one.
    pub(in crate::drivers) fn exchange(&self, fresh: &Path) -> Result<(), DriverError> {
        let swapped =
            match renameat2(AT_FDCWD, fresh, AT_FDCWD, &self.directory, RenameFlags::RENAME_EXCHANGE) {
                Err(Errno::ENOENT) => fs::rename(fresh, &self.directory),
                // The file system knows no exchange.
                Err(Errno::EINVAL | Errno::ENOSYS) => return self.exchange_in_steps(fresh),
                other => other.map_err(Into::into),
            };
        swapped.map_err(failed("replace", &self.directory))?;
        // From here on the new data is in use, so nothing below may report a failure.
        if let Err(error) = sync_directory(&self.parent) {
            tracing::error!(%error, directory = %self.parent.display(), "a replaced directory is not synced");
        }
        Self::remove_or_log(fresh);
        Ok(())
    }

    /// The same with three renames; [`Place::put_back`] repairs what a death between the first two leaves.
    pub(in crate::drivers) fn exchange_in_steps(&self, fresh: &Path) -> Result<(), DriverError> {
        let (aside, replaced) = (self.beside(ASIDE), self.beside(REPLACED));
        remove(&replaced)?;
        self.rename_twice(fresh, &aside).map_err(failed("replace", &self.directory))?;
        // From here on the new data is in use. Only when that is certain may the old data get the name that condemns it.
        match sync_directory(&self.parent).and_then(|()| fs::rename(&aside, &replaced)) {
            Ok(()) => Self::remove_or_log(&replaced),
            Err(error) => {
                tracing::error!(%error, old = %aside.display(), "replaced data is kept; remove it by hand");
            }
        }
        Ok(())
    }

    /// Puts back a directory that was set aside without a replacement, and removes everything else of ours.
    pub(in crate::drivers) fn recover(&self) -> Result<(), DriverError> {
        self.put_back()?;
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
    pub(in crate::drivers) fn remove_or_log(path: &Path) {
        if let Err(error) = remove(path) {
            tracing::warn!(%error, "a leftover stays until the next start");
        }
    }

    /// Nothing is deleted when both are there: which of them is the data cannot be known.
    fn put_back(&self) -> Result<(), DriverError> {
        let aside = self.beside(ASIDE);
        match (is_present(&aside)?, is_present(&self.directory)?) {
            (false, _) => Ok(()),
            (true, false) => fs::rename(&aside, &self.directory).map_err(failed("put back", &self.directory)),
            (true, true) => Err(DriverError::data_service(format!(
                "a restore was interrupted and both {} and {} exist; one holds the data from before the restore: \
                 keep the right one as {0} and move the other away",
                self.directory.display(),
                aside.display(),
            ))),
        }
    }

    fn rename_twice(&self, fresh: &Path, aside: &Path) -> io::Result<()> {
        fs::rename(&self.directory, aside)?;
        let Err(error) = fs::rename(fresh, &self.directory) else { return Ok(()) };
        match fs::rename(aside, &self.directory) {
            Ok(()) => Err(error),
            Err(again) => Err(io::Error::other(format!(
                "{error}; the data is now {} because it could not be put back: {again}",
                aside.display()
            ))),
        }
    }

    /// The name of an operation's directory beside the one in use.
    pub(in crate::drivers) fn beside(&self, operation: &str) -> PathBuf {
        let mut name = self.beside.clone();
        // Names of 200 characters and more would not fit.
        name.push(operation.chars().take(64).collect::<String>());
        self.parent.join(name)
    }
}

/// The real path. The last name may be absent, also behind a symbolic link: it may be set aside just now.
fn resolve(directory: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = directory.parent().unwrap_or(directory);
            let target = fs::read_link(directory).map_or_else(|_| directory.to_owned(), |t| above.join(t));
            let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
                return Err(error);
            };
            Ok(fs::canonicalize(parent)?.join(name))
        }
        resolved => resolved,
    }
}

fn is_present(path: &Path) -> Result<bool, DriverError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), DriverError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Names the path in an error of the operating system.
pub(in crate::drivers) fn failed<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> DriverError + 'a {
    move |error| {
        let mut message = format!("could not {verb} {}: {error}", path.display());
        // The tar library says what it was doing, and keeps what the operating system said behind that.
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        DriverError::data_service(message)
    }
}
