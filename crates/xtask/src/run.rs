//! Running Cargo, and talking to the person in front of it.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Runs `cargo` with these arguments, its output on ours.
///
/// # Errors
/// When it fails.
pub fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("`cargo {}` failed with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Tells whether a program can be run with these arguments.
#[must_use]
pub fn is_there(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A line that begins a new piece of work.
pub fn heading(text: &str) {
    println!("\n==> {text}");
}

/// Prints an error with its causes.
#[expect(clippy::print_stderr, reason = "standard error is where a command reports its failure")]
pub fn complain(error: &anyhow::Error) {
    eprintln!("\nerror: {error:#}");
}
