//! Finds the server programs of the machine, or installs Debian's.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::debian;

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
        if !debian::can_install() {
            bail!(
                "no PostgreSQL server programs found in /usr/lib/postgresql/*/bin or PATH; \
                 install them, on Debian with: sudo apt-get install postgresql"
            );
        }
        debian::install(&["postgresql"])?;
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
