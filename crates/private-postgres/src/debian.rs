//! Installs Debian packages, for those who need a server or a library that is not there.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::unistd::Uid;

/// Tells whether [`install`] can work here: Debian (or a relative) and root.
#[must_use]
pub fn can_install() -> bool {
    Uid::effective().is_root() && Path::new("/usr/bin/apt-get").exists()
}

/// Installs packages with `apt-get`, telling so on standard error. The package `postgresql` does not start a cluster
/// of its own.
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
    apt_get(&arguments)
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
