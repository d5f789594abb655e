//! Installs schemathesis, which questions the API, into a virtual environment below the target directory. Nothing of the
//! machine's Python is changed; without Python or the network the test that needs it is skipped, and says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use local_installation::Programs;

use crate::run::is_there;

/// Version of it and of everything it needs.
const REQUIREMENTS: &str = include_str!("../../../tests/schemathesis/requirements.txt");

/// The installed program; installs it when it is not there.
///
/// # Errors
/// With what pip or Python said.
pub fn install() -> anyhow::Result<PathBuf> {
    let home = tools()?.join(format!("schemathesis-{}", version()?));
    environment(&home, REQUIREMENTS)?;
    Ok(home.join("bin/schemathesis"))
}

/// Where programs are installed that only tests need.
pub(crate) fn tools() -> anyhow::Result<PathBuf> {
    let programs = Programs::beside_this_one()?;
    Ok(programs.directory().parent().context("no target directory")?.join("tools"))
}

/// Makes a virtual environment with these packages, if it is not there.
pub(crate) fn environment(home: &Path, requirements: &str) -> anyhow::Result<()> {
    let installed = home.join("installed.txt");
    // Written last: an installation that was interrupted, or of other requirements, is begun again.
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == requirements) {
        return Ok(());
    }
    std::fs::create_dir_all(home)?;
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
    let file = home.join("requirements.txt");
    std::fs::write(&file, requirements)?;
    let mut pip = Command::new(home.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--retries",
        "2",
    ]);
    run(pip.arg("--requirement").arg(&file))?;
    std::fs::write(&installed, requirements)?;
    Ok(())
}

/// Tells whether Python can make virtual environments, as far as one can see without making one.
#[must_use]
pub fn has_python() -> bool {
    is_there("python3", &["-c", "import venv, ensurepip"])
}

fn version() -> anyhow::Result<&'static str> {
    REQUIREMENTS.lines().find_map(|line| line.strip_prefix("schemathesis==")).context("no version is pinned")
}

pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = Path::new(command.get_program()).display().to_string();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be started"))?;
    if !output.status.success() {
        bail!("{name} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
