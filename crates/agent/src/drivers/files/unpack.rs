//! Tar → an empty directory. Nothing outside of it can be reached: names with `..` are refused, and the tar library
//! checks that neither links nor parents lead out. Everything is synced before the end.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo, syncfs};
use tar::{Archive, Entry, EntryType};

use super::attributes::{self, Attributes};
use super::place::failed;
use super::times::Modified;
use crate::drivers::DriverError;
use crate::session::Session;

/// What a directory gets once everything is in it.
struct Finish {
    path: PathBuf,
    mode: u32,
    owner: (u32, u32),
    modified: Modified,
    attributes: Attributes,
}

/// Unpacks the whole archive into `target`, which must be empty.
pub(super) fn unpack(target: &Path, session: &Session, input: &mut dyn Read) -> Result<(), DriverError> {
    let as_root = Uid::effective().is_root();
    let mut archive = Archive::new(input);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(as_root);
    // Times are set here, more exactly.
    archive.set_preserve_mtime(false);
    archive.set_overwrite(false);
    let mut directories = Vec::new();
    let mut seen_root = false;
    for entry in archive.entries().map_err(DriverError::Stream)? {
        session.check()?;
        let mut entry = entry.map_err(DriverError::Stream)?;
        let name = entry.path().map_err(DriverError::Stream)?.into_owned();
        let path = checked(target, &name)?;
        if path == target {
            if !entry.header().entry_type().is_dir() {
                let message = "the root of the archive is not a directory".to_owned();
                return Err(DriverError::Content(message));
            }
            seen_root = true;
        }
        let attributes = attributes::read(&mut entry).map_err(DriverError::Stream)?;
        add(&mut entry, target, &path, as_root).map_err(failed("unpack", &path))?;
        let modified = Modified::read(&mut entry).map_err(DriverError::Stream)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            directories.push(finish(&entry, path, attributes, modified).map_err(DriverError::Stream)?);
            continue;
        }
        if matches!(kind, EntryType::Regular | EntryType::GNUSparse) {
            attributes::set(&path, &attributes, as_root).map_err(failed("unpack", &path))?;
        }
        if matches!(kind, EntryType::Regular | EntryType::GNUSparse | EntryType::Symlink | EntryType::Fifo) {
            modified.set(&path).map_err(failed("unpack", &path))?;
        }
    }
    if !seen_root {
        return Err(DriverError::Content("the archive does not contain the directory itself".to_owned()));
    }
    // Children before parents: a parent may be closed even for us.
    for directory in directories.into_iter().rev() {
        directory.apply(as_root).map_err(failed("complete", &directory.path))?;
    }
    File::open(target).and_then(|d| Ok(syncfs(d)?)).map_err(failed("sync", target))
}

/// Joins a name from the archive to the target.
fn checked(target: &Path, name: &Path) -> Result<PathBuf, DriverError> {
    let mut path = target.to_owned();
    for component in name.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(DriverError::Content(format!("{} leads out of the directory", name.display()))),
        }
    }
    Ok(path)
}

fn add(entry: &mut Entry<'_, impl Read>, target: &Path, path: &Path, as_root: bool) -> io::Result<()> {
    match entry.header().entry_type() {
        EntryType::Fifo => return add_fifo(entry, target, path, as_root),
        EntryType::Char | EntryType::Block => return Err(io::Error::other("device files are refused")),
        _ => {}
    }
    if !entry.unpack_in(target)? {
        return Err(io::Error::other("the name leads out of the directory"));
    }
    match entry.header().entry_type().is_dir() && path != target {
        // Open until everything is in it.
        true => fs::set_permissions(path, Permissions::from_mode(0o700)),
        false => Ok(()),
    }
}

fn add_fifo(entry: &Entry<'_, impl Read>, target: &Path, path: &Path, as_root: bool) -> io::Result<()> {
    let parent = path.parent().unwrap_or(target).canonicalize()?;
    if !parent.starts_with(target.canonicalize()?) {
        return Err(io::Error::other("the name leads out of the directory"));
    }
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let (uid, gid) = owner(entry)?;
    if as_root {
        chown(path, Some(uid), Some(gid))?;
    }
    fs::set_permissions(path, Permissions::from_mode(entry.header().mode()?))
}

fn owner(entry: &Entry<'_, impl Read>) -> io::Result<(u32, u32)> {
    let number = |id: u64| u32::try_from(id).map_err(|_| io::Error::other("an owner's number is too large"));
    Ok((number(entry.header().uid()?)?, number(entry.header().gid()?)?))
}

fn finish(
    entry: &Entry<'_, impl Read>,
    path: PathBuf,
    attributes: Attributes,
    modified: Modified,
) -> io::Result<Finish> {
    Ok(Finish { path, mode: entry.header().mode()?, owner: owner(entry)?, modified, attributes })
}

impl Finish {
    fn apply(&self, as_root: bool) -> io::Result<()> {
        let directory = File::open(&self.path)?;
        if as_root {
            chown(&self.path, Some(self.owner.0), Some(self.owner.1))?;
        }
        directory.set_permissions(Permissions::from_mode(self.mode))?;
        attributes::set(&self.path, &self.attributes, as_root)?;
        self.modified.set(&self.path)
    }
}
