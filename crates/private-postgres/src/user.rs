//! Who a server runs as: PostgreSQL refuses to run as root, so root hands it to `postgres` or `nobody`. Open to others who
//! start servers beside it (`private-services`).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use nix::unistd::{Uid, User};

use crate::clock::Clock;
use crate::process::has_setpriv;

/// The account the server programs run under.
#[derive(Debug, Clone)]
pub struct ServerUser {
    /// None: we are not root, the server runs as ourselves.
    account: Option<User>,
}

impl ServerUser {
    /// Chooses `postgres`, else `nobody`, when we are root; ourselves otherwise.
    ///
    /// # Errors
    /// When there is neither.
    pub fn choose() -> anyhow::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self { account: None });
        }
        for name in ["postgres", "nobody"] {
            if let Some(account) = User::from_name(name).context("the user database cannot be read")? {
                return Ok(Self { account: Some(account) });
            }
        }
        bail!("servers do not run as root, and there is neither a user postgres nor a user nobody");
    }

    /// Gives the path to the user.
    ///
    /// # Errors
    /// When the owner cannot be changed.
    pub fn own(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(account) = &self.account {
            std::os::unix::fs::chown(path, Some(account.uid.as_raw()), Some(account.gid.as_raw()))
                .with_context(|| format!("{} cannot be given to {}", path.display(), account.name))?;
        }
        Ok(())
    }

    /// The usual directory for temporary files, or `/tmp` when this user could not enter that.
    #[must_use]
    pub fn temporary_directory(&self) -> PathBuf {
        let usual = std::env::temp_dir();
        let can_enter = |path: &Path| {
            path.ancestors()
                .all(|part| part.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
        };
        if self.account.is_some() && !can_enter(&usual) { PathBuf::from("/tmp") } else { usual }
    }

    /// As [`ServerUser::command`], tethered to its parent and under a clock of its own.
    pub(crate) fn command_with_clock(&self, program: &Path, clock: &Clock) -> Command {
        let (wrapper, arguments) = clock.prefix();
        let mut command = self.command(wrapper, true);
        command.args(arguments).arg(program);
        command
    }

    /// A command that runs the program as this user. With `die_with_parent` the kernel kills it as soon as the
    /// **thread** that started it ends.
    #[must_use]
    pub fn command(&self, program: &Path, die_with_parent: bool) -> Command {
        if self.account.is_none() && !(die_with_parent && has_setpriv()) {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        if let Some(account) = &self.account {
            command.arg(format!("--reuid={}", account.uid)).arg(format!("--regid={}", account.gid));
            command.arg("--clear-groups");
        }
        if die_with_parent {
            command.arg("--pdeathsig=KILL");
        }
        command.arg("--").arg(program);
        command
    }
}
