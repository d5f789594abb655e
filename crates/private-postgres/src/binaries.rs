//! Finds the server programs of the machine, or installs Debian's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::unistd::Uid;

/// Where `postgres`, `initdb`, `psql`, `pg_dump` and `pg_restore` are.
#[derive(Debug, Clone)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Looks for the newest `/usr/lib/postgresql/*/bin`, then through `PATH`.
    #[must_use]
    pub fn find() -> Option<Self> {
        newest_of_debian().or_else(first_in_path).map(|directory| Self { directory })
    }

    /// Like [`Binaries::find`]; when there are none and we are root on Debian, installs the package `postgresql`.
    ///
    /// # Errors
    /// When nothing is found and nothing can be installed; the message says what to do.
    pub fn find_or_install() -> anyhow::Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        if !Uid::effective().is_root() || !Path::new("/usr/bin/apt-get").exists() {
            bail!(
                "no PostgreSQL server programs found in /usr/lib/postgresql/*/bin or PATH; \
                 install them, on Debian with: sudo apt-get install postgresql"
            );
        }
        install()?;
        Self::find().context(
            "the package postgresql is installed, but there is no /usr/lib/postgresql/*/bin/postgres",
        )
    }

    /// The folder of the programs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn is_complete(directory: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|name| directory.join(name).is_file())
}

fn newest_of_debian() -> Option<PathBuf> {
    std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let directory = entry.path().join("bin");
            is_complete(&directory).then_some((version, directory))
        })
        .max()
        .map(|(_, directory)| directory)
}

fn first_in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|directory| is_complete(directory))
}

/// Installs Debian's package without letting it start a cluster of its own.
fn install() -> anyhow::Result<()> {
    notice("PostgreSQL is not installed; installing Debian's package postgresql with apt-get …");
    std::fs::create_dir_all("/etc/postgresql-common")?;
    let defaults = Path::new("/etc/postgresql-common/createcluster.conf");
    if !defaults.exists() {
        std::fs::write(defaults, "create_main_cluster = false\n")?;
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", "postgresql"])
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
