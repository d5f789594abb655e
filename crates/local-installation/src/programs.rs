//! Finds the programs of the workspace where Cargo has put them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The folder of the built programs.
#[derive(Debug, Clone)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The folder the running program (an xtask, a test) was built into: `target/debug`, or whatever it is here.
    ///
    /// # Errors
    /// When the running program's path is unknown.
    pub fn beside_this_one() -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("the path of this program is unknown")?;
        let mut directory = this.parent().context("this program is in no folder")?;
        if directory.ends_with("deps") {
            directory = directory.parent().context("deps is in no folder")?;
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// The folder.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of one program, for example `backup-agent`.
    ///
    /// # Errors
    /// When it is not built.
    pub fn find(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.join(name);
        if !path.is_file() {
            bail!("{} does not exist; run `cargo build --workspace` first", path.display());
        }
        Ok(path)
    }
}
