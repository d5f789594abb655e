//! The same work by hand: programs of the system in a pipeline.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// Makes the identity that the pipelines encrypt to; age asks for passphrases at a terminal only, and the bulk of the work is
/// the same either way.
///
/// # Errors
/// When `age-keygen` fails.
pub(super) fn make_identity(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("identity.txt");
    let made = Command::new("age-keygen").arg("-o").arg(&file).output().context("age-keygen")?;
    if !made.status.success() {
        bail!("age-keygen failed: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    let text = std::fs::read_to_string(&file)?;
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
    Ok(recipient.context("age-keygen made no public key")?.to_owned())
}

/// Versions of the peers.
pub(super) fn versions() -> Vec<(&'static str, String)> {
    let first = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    vec![
        ("zstd", first("zstd", "--version").trim_matches('*').trim().to_owned()),
        ("age", first("age", "--version")),
        ("restic", first("restic", "version")),
    ]
}

/// Removes what a measurement has made, so that the next has the same room.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes everything that is still in memory to the disk, so that no measurement pays for another.
pub(super) fn settle() {
    nix::unistd::sync();
}
