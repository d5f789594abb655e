//! The temporary directory of a server: its own, 0700, removed with the server. Directories whose owner was killed
//! are swept by the next one who comes along; a lock file tells the living from the dead.

use std::fs::{File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::user::ServerUser;

const PREFIX: &str = "private-postgres.";
const LOCK: &str = "owner.lock";

/// Holds the directory until it is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    directory: TempDir,
    _lock: File,
}

impl Directory {
    pub(crate) fn create(user: &ServerUser) -> anyhow::Result<Self> {
        let parent = parent(user);
        sweep(&parent);
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&parent)
            .with_context(|| format!("no temporary directory can be made in {}", parent.display()))?;
        // Locked under another name first: a sweeper must never see an unlocked lock file of a living server.
        let fresh = directory.path().join("owner.lock.new");
        let lock = File::create(&fresh)?;
        lock.lock()?;
        std::fs::rename(&fresh, directory.path().join(LOCK))?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700))?;
        user.own(directory.path())?;
        Ok(Self { directory, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The usual directory for temporary files, or `/tmp` when the server's user could not enter that.
fn parent(user: &ServerUser) -> PathBuf {
    let usual = std::env::temp_dir();
    let can_enter = |path: &Path| {
        path.ancestors()
            .all(|part| part.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
    };
    if user.is_other() && !can_enter(&usual) { PathBuf::from("/tmp") } else { usual }
}

/// Removes what killed owners left behind; best effort.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        match lock.try_lock() {
            Ok(()) => drop(std::fs::remove_dir_all(entry.path())),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}
