//! Visits a directory tree without ever following a symbolic link: every entry is looked up from the open directory it
//! is in, and what is opened for reading is the very thing that was looked at, whatever has its name by then. One handle
//! stays open for each level of depth.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::Mode;

use super::place::failed;
use crate::drivers::DriverError;
use crate::session::Session;

/// What is called for each entry.
pub(super) type Visit<'a> = dyn FnMut(&Found) -> Result<(), DriverError> + 'a;

/// Visits the directory itself, then its entries by name, depth first.
///
/// # Errors
/// When the root is anything but a directory, or an entry cannot be read.
pub(super) fn walk(root: &Path, session: &Session, visit: &mut Visit<'_>) -> Result<(), DriverError> {
    let found = Found::look(AT_FDCWD, root.as_os_str(), root.to_owned()).map_err(failed("read", root))?;
    if !found.metadata.is_dir() {
        return Err(DriverError::data_service(format!("{} is not a directory", root.display())));
    }
    enter(found, session, visit)
}

fn enter(found: Found, session: &Session, visit: &mut Visit<'_>) -> Result<(), DriverError> {
    session.check()?;
    visit(&found)?;
    if !found.metadata.is_dir() {
        return Ok(());
    }
    let listed = found.list();
    let path = found.path;
    let (directory, names) = match listed {
        // Removed meanwhile, with all that was in it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(failed("list", &path))?,
    };
    for name in names {
        let child = path.join(&name);
        match Found::look(directory.as_fd(), &name, child.clone()) {
            Ok(found) => enter(found, session, visit)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", &child)(error)),
        }
    }
    Ok(())
}

/// An entry that was looked at.
pub(super) struct Found {
    /// Its full path, for messages and for the name in the archive; nothing is opened by it.
    pub(super) path: PathBuf,
    /// What it is, never what it points to.
    pub(super) metadata: Metadata,
    /// Stands for the very thing that was looked at; cannot be read from.
    handle: File,
}

impl Found {
    fn look(directory: BorrowedFd<'_>, name: &OsStr, path: PathBuf) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let handle = File::from(openat(directory, name, flags, Mode::empty())?);
        Ok(Self { path, metadata: handle.metadata()?, handle })
    }

    /// Opens the file for reading, also when it has been removed or replaced since it was looked at.
    ///
    /// # Errors
    /// When that is not allowed, or `/proc` is not there.
    pub(super) fn open(&self) -> io::Result<File> {
        // What is listed there leads to the file itself, not to its name.
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(AT_FDCWD, path.as_str(), flags, Mode::empty())?);
        let opened = file.metadata()?;
        match (opened.dev(), opened.ino()) == (self.metadata.dev(), self.metadata.ino()) {
            true => Ok(file),
            false => Err(io::Error::other("/proc leads to another file")),
        }
    }

    /// Opens the directory for reading.
    pub(super) fn open_directory(&self) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.handle, ".", flags, Mode::empty())?))
    }

    /// Where a symbolic link points to.
    pub(super) fn link_target(&self) -> io::Result<OsString> {
        Ok(readlinkat(&self.handle, "")?)
    }

    /// The open directory and the names in it, in order.
    fn list(&self) -> io::Result<(Dir, Vec<OsString>)> {
        let mut directory = Dir::from_fd(self.open_directory()?.into())?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok((directory, names))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_was_looked_at_is_opened_whatever_has_its_name_by_then() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        let replacements: [&dyn Fn(); 5] = [
            &|| symlink(&other, &path).unwrap(),
            &|| fs::copy(&other, &path).map(drop).unwrap(),
            &|| nix::unistd::mkfifo(&path, Mode::S_IRUSR).unwrap(),
            &|| fs::create_dir(&path).unwrap(),
            &|| {},
        ];
        for (number, replace) in replacements.iter().enumerate() {
            fs::write(&other, "other").unwrap();
            fs::write(&path, "plain").unwrap();
            let found = Found::look(AT_FDCWD, path.as_os_str(), path.clone()).unwrap();
            fs::remove_file(&path).unwrap();
            replace();
            assert_eq!(io::read_to_string(found.open().unwrap()).unwrap(), "plain", "{number}");
            assert!(found.list().is_err(), "{number}");
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }

    #[test]
    fn a_directory_replaced_by_a_link_is_not_entered() {
        for is_removed in [true, false] {
            let place = tempfile::tempdir().unwrap();
            let root = place.path().join("root");
            fs::create_dir_all(root.join("inside/below")).unwrap();
            fs::create_dir(place.path().join("outside")).unwrap();
            fs::write(place.path().join("outside/secret"), "secret").unwrap();
            let mut seen = Vec::new();
            let walked = walk(&root, &Session::default(), &mut |found| {
                seen.push(found.path.clone());
                if found.path.ends_with("inside") {
                    match is_removed {
                        true => fs::remove_dir_all(&found.path).unwrap(),
                        false => fs::rename(&found.path, place.path().join("moved")).unwrap(),
                    }
                    symlink(place.path().join("outside"), &found.path).unwrap();
                }
                Ok(())
            });
            walked.unwrap();
            let mut expected = vec![root.clone(), root.join("inside")];
            // What was looked at is gone on with, wherever it is now.
            expected.extend((!is_removed).then(|| root.join("inside/below")));
            assert_eq!(seen, expected);
        }
    }
}
