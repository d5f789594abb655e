//! `cargo xtask chaos`: prepares the machine, builds the workspace, and hands over to `crates/chaos`.

use std::process::Command;

use anyhow::{Context, bail};

use crate::prepare::prepare;
use crate::run::cargo;

/// Builds the workspace and breaks it as the arguments say.
///
/// # Errors
/// When something is missing, the build fails, or a promise was broken.
pub fn main(arguments: &[String]) -> anyhow::Result<()> {
    prepare()?;
    cargo(&["build", "--workspace", "--quiet"], &[])?;
    run(arguments)
}

/// Runs it as it is built.
///
/// # Errors
/// When a promise was broken, or it could not be examined.
pub fn run(arguments: &[impl AsRef<std::ffi::OsStr>]) -> anyhow::Result<()> {
    // Built into the same folder as this program.
    let this = std::env::current_exe().context("the path of this program is unknown")?;
    let program = this.with_file_name("backup-chaos");
    let status = Command::new(&program).args(arguments).status();
    let status = status.with_context(|| format!("{} cannot be started", program.display()))?;
    if !status.success() {
        bail!("the chaos run failed with {status}");
    }
    Ok(())
}
