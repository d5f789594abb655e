//! Puts the adapters of the peers into a throw-away folder, `bench-peers` below Cargo's target folder, with the tools and the
//! defaults of their ecosystems. What is there already, of the same files, is used again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use private_postgres::debian;

use super::contender::{Contender, Kind, Source};
use super::process::Program;

/// Says that a folder is complete.
const STAMP: &str = "installed";

/// Installs one adapter, or finds that it is installed.
///
/// # Errors
/// With what the installer printed last.
pub(super) fn install(kind: &'static Kind) -> anyhow::Result<Contender> {
    let this = std::env::current_exe().context("the path of this program is unknown")?;
    if kind.source == Source::Ours {
        let folder = this.parent().context("this program is in no folder")?.to_owned();
        let words = vec![this.display().to_string(), "queue-adapter".to_owned()];
        let version = env!("CARGO_PKG_VERSION").to_owned();
        return Ok(Contender { kind, program: Program { words, folder }, version });
    }
    let target = this.ancestors().nth(2).context("this program is in no target folder")?;
    let folder = target.join("bench-peers").join(kind.name);
    if !is_installed(kind, &folder) {
        provide(kind, &folder)?;
    }
    let program = Program { words: words(kind), folder: folder.clone() };
    Ok(Contender { kind, version: version(kind, &program)?, program })
}

/// Whether it is there, made of these very files.
fn is_installed(kind: &Kind, folder: &Path) -> bool {
    let is_same = |(name, content): &(&str, &str)| {
        std::fs::read_to_string(folder.join(name)).is_ok_and(|found| found == *content)
    };
    folder.join(STAMP).exists() && kind.files.iter().all(is_same)
}

fn provide(kind: &Kind, folder: &Path) -> anyhow::Result<()> {
    println!("==> installing {} in {}", kind.name, folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    for (name, content) in kind.files {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
        std::fs::write(file, content)?;
    }
    match kind.source {
        Source::Ours => {}
        Source::Npm => {
            need(&["npm"], has("npm"))?;
            run(folder, "npm", &["install", "--no-audit", "--no-fund", "--no-package-lock"])?;
        }
        Source::Pip => {
            need(&["python3", "python3-venv"], has("/usr/bin/python3"))?;
            if run(folder, "/usr/bin/python3", &["-m", "venv", "venv"]).is_err() {
                need(&["python3-venv"], false)?;
                run(folder, "/usr/bin/python3", &["-m", "venv", "--clear", "venv"])?;
            }
            run(folder, "venv/bin/pip", &["install", "--quiet", "--requirement", "requirements.txt"])?;
        }
        Source::Debian(packages) => {
            let program = Program { words: words(kind), folder: folder.to_owned() };
            need(packages, version(kind, &program).is_ok())?;
        }
        // One target folder for all of them: they share most of what they depend on.
        Source::Cargo => {
            run(folder, "cargo", &["build", "--quiet", "--release", "--target-dir", "../cargo-target"])?
        }
    }
    std::fs::write(folder.join(STAMP), "")?;
    Ok(())
}

/// Installs Debian's packages unless it is known that they are there.
fn need(packages: &[&str], is_there: bool) -> anyhow::Result<()> {
    if is_there {
        return Ok(());
    }
    if !debian::can_install() {
        bail!("on Debian, run: sudo apt-get install {}", packages.join(" "));
    }
    debian::install(packages)
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// How the adapter is started in its folder.
fn words(kind: &Kind) -> Vec<String> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match kind.source {
        Source::Ours => Vec::new(),
        Source::Npm => owned(&["node_modules/.bin/node", "main.mjs"]),
        Source::Pip => owned(&["venv/bin/python", "main.py"]),
        Source::Debian(_) => owned(&["/usr/bin/ruby", "main.rb"]),
        Source::Cargo => vec![format!("../cargo-target/release/{}-adapter", kind.name)],
    }
}

/// What the adapter says of itself.
fn version(kind: &Kind, program: &Program) -> anyhow::Result<String> {
    let [first, others @ ..] = program.words.as_slice() else { bail!("a program without a name") };
    let output = Command::new(first).args(others).arg("version").current_dir(&program.folder).output();
    let output = output.with_context(|| format!("{} cannot be started", kind.name))?;
    if !output.status.success() {
        bail!("{} tells no version: {}", kind.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs an installer; its output is shown when it fails.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let log: PathBuf = folder.join("install.log");
    let file = File::options().create(true).append(true).open(&log)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdout(file.try_clone()?).stderr(file);
    let status = command.status().with_context(|| format!("{program} cannot be started"))?;
    if !status.success() {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
        bail!("`{program} {}` failed with {status}:\n{end}", arguments.join(" "));
    }
    Ok(())
}
