//! A temporary directory that is removed with its owner. Those whose owner was killed are swept by the next one who
//! comes along; a lock file tells the living from the dead.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context;
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

use crate::process::kill_stopped_in;

const LOCK: &str = "owner.lock";

/// A directory (0700) that exists as long as this value.
#[derive(Debug)]
pub struct OwnedDirectory {
    directory: TempDir,
    _lock: File,
}

impl OwnedDirectory {
    /// Makes `<parent>/<prefix>XXXXXX`, after removing directories of the same prefix whose owner is gone.
    ///
    /// # Errors
    /// When the parent is not writable.
    pub fn create(parent: &Path, prefix: &str) -> anyhow::Result<Self> {
        sweep(parent, prefix);
        let directory = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .with_context(|| format!("no temporary directory can be made in {}", parent.display()))?;
        // Locked under another name first: a sweeper must never see an unlocked lock file of a living owner.
        let fresh = directory.path().join("owner.lock.new");
        let lock = File::create(&fresh)?;
        lock.lock()?;
        std::fs::rename(&fresh, directory.path().join(LOCK))?;
        Ok(Self { directory, _lock: lock })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Unmounts every file system below the directory; one still in use goes with its last user. Best effort.
pub fn unmount_in(directory: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for place in mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new) {
        if place.starts_with(directory) {
            // Fails without the permission, and then it was not mounted by us.
            umount2(place, MntFlags::MNT_DETACH).unwrap_or_default();
        }
    }
}

/// Removes what killed owners left behind; best effort.
fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        match lock.try_lock() {
            Ok(()) => {
                // A server that was paused when its owner died is still there, and deaf to everything else.
                kill_stopped_in(&entry.path());
                unmount_in(&entry.path());
                drop(std::fs::remove_dir_all(entry.path()));
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}
