//! Where rehearsals have their scratch data services: one directory each, below a directory of this agent alone. What is
//! left of a killed agent's rehearsals (files, and processes that work in them) is removed at the next start.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LOCK: &str = "lock";
/// Short: the path of a Unix socket has little room.
const PREFIX: &str = "r-";
/// How long killed processes are waited for; they end at once, unless the kernel holds them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The directory below which scratch data services are made.
#[derive(Debug)]
pub(crate) struct ScratchRoot {
    directory: PathBuf,
    /// Unlocked by the kernel when the process ends.
    lock: OnceLock<File>,
}

impl ScratchRoot {
    /// Nothing is touched yet; [`Self::claim`] comes before everything else.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), lock: OnceLock::new() }
    }

    /// Makes the directory if necessary, and keeps other agents out of it: they would take what is in use for leftovers.
    ///
    /// # Errors
    /// When it cannot be made, or another agent has it.
    pub(crate) fn claim(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let lock = File::create(self.directory.join(LOCK))?;
        lock.try_lock().map_err(|_| io::Error::other("in use by another agent"))?;
        // A second claim of the same agent has failed above.
        let _ = self.lock.set(lock);
        Ok(())
    }

    /// Bytes free for a scratch data service.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.directory)
    }

    /// An empty directory that nobody else may enter, removed with everything in it when dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make(&self) -> io::Result<ScratchDirectory> {
        let (random, ..) = uuid::Uuid::new_v4().as_fields();
        let path = self.directory.join(format!("{PREFIX}{random:08x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(ScratchDirectory(path))
    }

    /// Ends and removes what an agent that was killed has left.
    ///
    /// # Errors
    /// When something stays.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                tracing::warn!(directory = %entry.path().display(), "removing what an interrupted rehearsal has left");
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// One scratch data service's directory.
#[derive(Debug)]
pub(crate) struct ScratchDirectory(PathBuf);

impl ScratchDirectory {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::error!(%error, directory = %self.0.display(), "a scratch directory stays until the next start");
        }
    }
}

/// Bytes free for this process in the file system of `directory`.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(directory).ok()?;
    found.blocks_available().checked_mul(found.fragment_size())
}

/// First the processes: they would write on, and a data service without its files may run for long.
fn remove(directory: &Path) -> io::Result<()> {
    end_processes_in(directory)?;
    match fs::remove_dir_all(directory) {
        // Restored directories may be closed even for us.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            unlock(directory)?;
            fs::remove_dir_all(directory)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn unlock(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

/// Kills whoever works in the directory, and waits until they are gone.
fn end_processes_in(directory: &Path) -> io::Result<()> {
    let until = Instant::now().checked_add(PATIENCE);
    loop {
        let found = processes_in(directory)?;
        if found.is_empty() {
            return Ok(());
        }
        if until.is_none_or(|until| Instant::now() > until) {
            let message = format!("{} processes in {} do not end", found.len(), directory.display());
            return Err(io::Error::other(message));
        }
        for process in found {
            // It may have ended by itself meanwhile.
            let _ = kill(process, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose working directory is in `directory`. Those of others cannot be looked at, and are not ours.
fn processes_in(directory: &Path) -> io::Result<Vec<Pid>> {
    let directory = match fs::canonicalize(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&directory)) {
            found.push(Pid::from_raw(id));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_a_killed_agent_left_is_ended_and_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = ScratchRoot::new(place.path());
        root.claim().unwrap();
        let left = root.make().unwrap();
        let closed = left.path().join("closed");
        DirBuilder::new().create(&closed).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        fs::write(place.path().join("stranger"), "x").unwrap();
        let sleep = |directory: &Path| {
            Command::new("sleep").arg("600").current_dir(directory).stdin(Stdio::null()).spawn().unwrap()
        };
        let (mut stray, mut stranger) = (sleep(left.path()), sleep(place.path()));
        let path = left.path().to_owned();
        std::mem::forget(left);

        // Reaped beside it: a process nobody has waited for still has its number.
        let reaping = std::thread::spawn(move || stray.wait().unwrap());
        root.sweep().unwrap();
        assert!(!reaping.join().unwrap().success());
        assert!(!path.exists());
        assert!(place.path().join("stranger").exists());
        assert!(stranger.try_wait().unwrap().is_none(), "beside it nothing is ended");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn two_agents_do_not_share_a_directory() {
        let place = tempfile::tempdir().unwrap();
        let (first, second) = (ScratchRoot::new(place.path()), ScratchRoot::new(place.path()));
        first.claim().unwrap();
        assert!(second.claim().is_err());
        drop(first);
        second.claim().unwrap();
    }
}
