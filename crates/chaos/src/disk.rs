//! A small file system that can be full: where an installation's store is put when it shall run out of space.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use private_postgres::{OwnedDirectory, unmount_in};

/// A file system in memory, mounted in a temporary directory; unmounted when dropped. What a killed owner left mounted is
/// swept by the next one.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    // Last: removed when nothing is mounted in it.
    _directory: OwnedDirectory,
}

impl SmallDisk {
    /// Mounts one of this many bytes; none where we may not mount.
    ///
    /// # Errors
    /// When it fails for another reason.
    pub fn mount(bytes: u64) -> anyhow::Result<Option<Self>> {
        let directory = OwnedDirectory::create(&std::env::temp_dir(), "small-disk.")?;
        let path = directory.path().join("disk");
        std::fs::create_dir(&path)?;
        let options = format!("size={bytes},mode=0755");
        match mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::MS_NODEV, Some(options.as_str())) {
            Ok(()) => Ok(Some(Self { path, _directory: directory })),
            Err(Errno::EPERM | Errno::EACCES) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("nothing can be mounted on {}", path.display())),
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes every block that is free, until [`SmallDisk::drain`]. Space that others free meanwhile is theirs to use.
    ///
    /// # Errors
    /// When writing fails otherwise than by want of space.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::options().create(true).append(true).open(self.ballast())?;
        let mut size = 1 << 20;
        let zeros = vec![0_u8; size];
        while size > 0 {
            match ballast.write(zeros.get(..size).unwrap_or_default()) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error).context("the disk cannot be filled"),
            }
        }
        Ok(())
    }

    /// Gives back what [`SmallDisk::fill`] took.
    ///
    /// # Errors
    /// When the ballast cannot be removed.
    pub fn drain(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("the ballast stays"),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Hidden, and in nobody's way: stores keep their objects in folders.
    fn ballast(&self) -> PathBuf {
        self.path.join(".ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount_in(&self.path);
    }
}
