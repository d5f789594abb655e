//! Installs the servers that speak the protocols of object stores, for tests, below the target directory: moto with pip,
//! Azurite with npm. Without Python, npm or the network the tests that need them are skipped, and say so.

use std::process::Command;

use anyhow::Context;

use crate::schemathesis::{environment, run, tools};

const MOTO: &str = include_str!("../../private-stores/moto/requirements.txt");
const AZURITE: &str = include_str!("../../private-stores/azurite/package.json");

/// Installs moto when it is not there.
///
/// # Errors
/// With what pip or Python said.
pub fn install_moto() -> anyhow::Result<()> {
    let version =
        MOTO.lines().find_map(|line| line.strip_prefix("moto==")).context("no version is pinned")?;
    environment(&tools()?.join(format!("moto-{version}")), MOTO)
}

/// Installs Azurite when it is not there.
///
/// # Errors
/// With what npm said.
pub fn install_azurite() -> anyhow::Result<()> {
    let (_, rest) = AZURITE.split_once("\"azurite\": \"").context("no version is pinned")?;
    let version = rest.split('"').next().unwrap_or_default();
    let home = tools()?.join(format!("azurite-{version}"));
    let installed = home.join("installed.txt");
    // Written last: an installation that was interrupted, or of another version, is begun again.
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == AZURITE) {
        return Ok(());
    }
    std::fs::create_dir_all(&home)?;
    std::fs::write(home.join("package.json"), AZURITE)?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--ignore-scripts",
        "--loglevel=error",
    ]);
    run(npm.arg("--prefix").arg(&home))?;
    std::fs::write(&installed, AZURITE)?;
    Ok(())
}
