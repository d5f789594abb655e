//! The tar of `pg_basebackup` → an empty directory. Everything belongs to the owner of the data directory in use,
//! whoever it belonged to where the backup was made. Everything is synced before the end.

use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

use nix::unistd::syncfs;
use tar::Archive;

use crate::drivers::DriverError;
use crate::drivers::files::place::failed;
use crate::session::Session;

/// Unpacks the whole stream.
pub(super) fn unpack(
    target: &Path,
    owner: Option<(u32, u32)>,
    session: &Session,
    input: &mut dyn Read,
) -> Result<(), DriverError> {
    give(target, owner).map_err(failed("prepare", target))?;
    let mut archive = Archive::new(input);
    archive.set_preserve_permissions(true);
    archive.set_overwrite(false);
    for entry in archive.entries().map_err(DriverError::Stream)? {
        session.check()?;
        let mut entry = entry.map_err(DriverError::Stream)?;
        let name = entry.path().map_err(DriverError::Stream)?.into_owned();
        let path = target.join(&name);
        if !entry.unpack_in(target).map_err(failed("unpack", &path))? {
            return Err(DriverError::Content(format!("{} leads out of the directory", name.display())));
        }
        if let Some((user, group)) = owner {
            lchown(&path, Some(user), Some(group)).map_err(failed("unpack", &path))?;
        }
    }
    File::open(target).and_then(|d| Ok(syncfs(d)?)).map_err(failed("sync", target))
}

/// Gives a path to the owner of the data directory, and to nobody else.
pub(super) fn give(path: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    if let Some((user, group)) = owner {
        lchown(path, Some(user), Some(group))?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}
