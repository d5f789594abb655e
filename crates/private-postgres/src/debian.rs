//! Installs Debian packages, for those who need a server or a library that is not there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::unistd::Uid;

/// Tells whether [`install`] can work here: Debian (or a relative) and root.
#[must_use]
pub fn can_install() -> bool {
    Uid::effective().is_root() && Path::new("/usr/bin/apt-get").exists()
}

/// What `invoke-rc.d` asks before it starts a service; 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs packages with `apt-get`, telling so on standard error. No server is started by that, and the package
/// `postgresql` does not make a cluster of its own.
///
/// # Errors
/// With what `apt-get` printed.
pub fn install(packages: &[&str]) -> anyhow::Result<()> {
    notice(&format!("installing Debian packages with apt-get: {} …", packages.join(" ")));
    if packages.contains(&"postgresql") {
        std::fs::create_dir_all("/etc/postgresql-common")?;
        let defaults = Path::new("/etc/postgresql-common/createcluster.conf");
        if !defaults.exists() {
            std::fs::write(defaults, "create_main_cluster = false\n")?;
        }
    }
    apt_get(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    let _no_servers = NoServers::begin()?;
    apt_get(&arguments)
}

/// Forbids packages to start their servers as long as it lives. A machine's own policy stays as it is.
struct NoServers {
    is_ours: bool,
}

impl NoServers {
    fn begin() -> anyhow::Result<Self> {
        let is_ours = !Path::new(POLICY).exists();
        if is_ours {
            std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { is_ours })
    }
}

impl Drop for NoServers {
    fn drop(&mut self) {
        if self.is_ours {
            // Gone already: somebody else removed it.
            std::fs::remove_file(POLICY).unwrap_or_default();
        }
    }
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("UCF_FORCE_CONFFOLD", "1")
        .stdin(Stdio::null())
        .output()
        .context("apt-get cannot be started")?;
    if !output.status.success() {
        bail!("apt-get {} failed:\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "an installation must not happen silently, and there is no log here")]
fn notice(text: &str) {
    eprintln!("{text}");
}
