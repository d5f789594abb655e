//! What the servers have in common that are started for rehearsals: a directory, a Unix socket in it, a user who is not
//! root, and an end that need not be waited for.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Uid, User};

use super::DriverError;
use crate::session::{LimitedSession, RunningProgram, Session};

/// Of the kernel, without the final zero.
const LONGEST_SOCKET: usize = 107;

/// What the check of a rehearsal compares with: noted by the load, taken once.
#[derive(Debug)]
pub(super) struct Noted<T>(Mutex<Option<T>>);

impl<T> Default for Noted<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Noted<T> {
    pub(super) fn note(&self, loaded: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
    }

    pub(super) fn take(&self) -> Result<T, DriverError> {
        let loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        loaded.ok_or_else(nothing_loaded)
    }
}

/// A rehearsal that is checked before anything was loaded.
pub(super) fn nothing_loaded() -> DriverError {
    DriverError::data_service("nothing was loaded")
}

/// The path of a socket in the directory.
pub(super) fn socket(directory: &Path, name: &str) -> Result<PathBuf, DriverError> {
    let socket = directory.join(name);
    if socket.as_os_str().as_bytes().len() > LONGEST_SOCKET {
        let message =
            format!("the path {} is too long for a socket; set rehearsal_directory", socket.display());
        return Err(DriverError::data_service(message));
    }
    Ok(socket)
}

/// As whom a server runs that refuses to be root's: the first of `names` there is, who is given the directory; the
/// numbers of user and group. None: as the agent, which is not root.
pub(super) fn account(names: &[&str], directory: &Path) -> Result<Option<(u32, u32)>, DriverError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let Some(user) = names.iter().find_map(|name| User::from_name(name).ok().flatten()) else {
        let names = names.join(" or ");
        let message = format!("the agent is root and there is no user {names} to run a scratch server as");
        return Err(DriverError::data_service(message));
    };
    require_reachable(directory, &user)?;
    let (user, group) = (user.uid.as_raw(), user.gid.as_raw());
    let given = chown(directory, Some(user), Some(group));
    given.map_err(|e| DriverError::data_service(format!("{}: {e}", directory.display())))?;
    Ok(Some((user, group)))
}

/// The user must get to the directory; the agent's own directories are often closed.
fn require_reachable(directory: &Path, user: &User) -> Result<(), DriverError> {
    for above in directory.ancestors().skip(1) {
        let found = std::fs::metadata(above);
        let found = found.map_err(|e| DriverError::data_service(format!("{}: {e}", above.display())))?;
        let bit = match () {
            () if found.uid() == user.uid.as_raw() => 0o100,
            () if found.gid() == user.gid.as_raw() => 0o010,
            () => 0o001,
        };
        if found.mode() & bit == 0 {
            let message = format!(
                "the scratch server runs as {} because it refuses root, and that user cannot enter {}; set \
                 rehearsal_directory to a place that everybody may pass through",
                user.name,
                above.display(),
            );
            return Err(DriverError::data_service(message));
        }
    }
    Ok(())
}

/// Whether an exchange may be left half done: only in a rehearsal's own `server`, which is thrown away, once it has ended or
/// nobody wants to know any more.
pub(super) fn may_be_left(server: Option<&RunningProgram>, session: &Session) -> bool {
    server.is_some_and(|server| session.stopped().is_some() || server.has_ended())
}

/// Does what must come to its end whatever happens to the operation: in a session of its own. For a rehearsal's own server it
/// need not.
pub(super) fn to_the_end<T>(
    server: Option<&RunningProgram>,
    session: &Session,
    limit: Duration,
    work: impl FnOnce(&Session) -> T,
) -> T {
    match server {
        Some(_) => work(session),
        None => work(&LimitedSession::new(limit)),
    }
}
