//! `cargo xtask bench`: prepares the machine, builds what is measured, and hands over to `crates/bench`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::prepare::prepare_for_benchmarks;
use crate::run::cargo;

/// Builds with optimisations and runs the benchmark that the arguments name.
///
/// # Errors
/// When something is missing, the build fails or the benchmark does.
pub fn main(arguments: &[String]) -> anyhow::Result<()> {
    prepare_for_benchmarks()?;
    cargo(
        &[
            "build",
            "--quiet",
            "--release",
            "-p",
            "backup-api",
            "-p",
            "backup-worker",
            "-p",
            "backup-agent",
            "-p",
            "backup-bench",
        ],
        &[],
    )?;
    // Not `cargo run`: for one package alone it would choose other features and compile everything once more.
    let program = release_folder()?.join("backup-bench");
    let status = Command::new(&program).args(arguments).status();
    let status = status.with_context(|| format!("{} cannot be started", program.display()))?;
    if !status.success() {
        bail!("the benchmark failed with {status}");
    }
    Ok(())
}

/// `target/release`, beside the folder this program was built into.
fn release_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program is unknown")?;
    let target = this.parent().and_then(|folder| folder.parent());
    Ok(target.context("this program is in no target folder")?.join("release"))
}
