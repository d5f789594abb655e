//! A small file system that can be full: where an installation's store is put when it shall run out of space.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::statvfs;
use private_postgres::{OwnedDirectory, unmount_in};

/// A file system in memory, mounted in a temporary directory; unmounted when dropped. What a killed owner left mounted is
/// swept by the next one.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    bytes: u64,
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
        match tmpfs(&path, MsFlags::empty(), &format!("size={bytes},mode=0755")) {
            Ok(()) => Ok(Some(Self { path, bytes, _directory: directory })),
            Err(Errno::EPERM | Errno::EACCES) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("nothing can be mounted on {}", path.display())),
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no block free, until [`SmallDisk::drain`]: it shrinks to what is used, at once and whatever its size. Space that
    /// others free meanwhile is theirs to use. (Of an empty one, a single block stays.)
    ///
    /// # Errors
    /// When it cannot be shrunk.
    pub fn fill(&self) -> anyhow::Result<()> {
        for _ in 0..100 {
            let state = statvfs(&self.path)?;
            let used = state.blocks().saturating_sub(state.blocks_free()).max(1);
            match self.resize(used.saturating_mul(state.fragment_size())) {
                // Somebody wrote since we looked.
                Err(Errno::EINVAL) => {}
                result => return result.context("the disk cannot be shrunk"),
            }
        }
        bail!("the disk grows faster than it can be shrunk");
    }

    /// Makes it as large as it was.
    ///
    /// # Errors
    /// When that fails.
    pub fn drain(&self) -> anyhow::Result<()> {
        self.resize(self.bytes).context("the disk cannot grow again")
    }

    fn resize(&self, bytes: u64) -> Result<(), Errno> {
        tmpfs(&self.path, MsFlags::MS_REMOUNT, &format!("size={bytes}"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount_in(&self.path);
    }
}

fn tmpfs(path: &Path, flags: MsFlags, options: &str) -> Result<(), Errno> {
    mount(Some("tmpfs"), path, Some("tmpfs"), flags | MsFlags::MS_NODEV, Some(options))
}
