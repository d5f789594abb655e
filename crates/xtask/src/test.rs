//! `cargo xtask test`: everything that must be green, one step after the other, and a clear last line.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use private_postgres::{Options, Server};

use crate::chaos;
use crate::prepare::prepare_for_tests;
use crate::run::{cargo, heading, is_there};
use crate::schemathesis;
use crate::store_servers;

/// Where the tests find the server that is started for the whole run.
const SERVER_VARIABLE: &str = "BACKUP_TEST_POSTGRES_URL";

/// Where the test that needs schemathesis finds it.
const TOOL_VARIABLE: &str = "BACKUP_TEST_SCHEMATHESIS";

/// Any would do; the same every time, so that a difference is one of the program.
const CHAOS_SEED: &str = "4";

/// How a step ended.
struct Ended {
    name: &'static str,
    time: Duration,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed(anyhow::Error),
    Skipped(&'static str),
    /// A tool from the internet cannot be had; the test that needs it is skipped.
    NotInstallable,
}

/// Runs all steps; with filters only the build and the tests.
///
/// # Errors
/// When a step failed; the others are run nevertheless.
pub fn main(filters: &[String]) -> anyhow::Result<()> {
    prepare_for_tests()?;
    let begin = Instant::now();
    let mut ended = Vec::new();
    if filters.is_empty() {
        ended.push(step("format", component("fmt", "rustfmt"), || cargo(&["fmt", "--all", "--check"], &[])));
        ended.push(step("lints", component("clippy", "clippy"), || {
            cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])
        }));
    }
    if filters.is_empty() {
        ended.push(step("documentation", None, || {
            cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])
        }));
        if has_nextest() {
            ended.push(step("examples in the documentation", None, || {
                cargo(&["test", "--workspace", "--doc"], &[])
            }));
        }
    }
    let mut tool = None;
    ended.push(optional("schemathesis", || {
        tool = Some(schemathesis::install()?);
        Ok(())
    }));
    ended.push(optional("moto", store_servers::install_moto));
    ended.push(optional("azurite", store_servers::install_azurite));
    // The programs that the end-to-end tests start.
    ended.push(step("build", None, || cargo(&["build", "--workspace"], &[])));
    ended.push(step("tests", None, || tests(filters, tool.as_deref())));
    if filters.is_empty() {
        ended.push(step("chaos", None, || chaos::run(&["--seed", CHAOS_SEED, "--faults", "60"])));
    }
    summarise(&ended, begin.elapsed())
}

fn tests(filters: &[String], tool: Option<&Path>) -> anyhow::Result<()> {
    let server = Server::start_with(Options::default().setting("max_connections", "500"))?;
    let url = server.url("postgres");
    let runner: &[&str] = match has_nextest() {
        true => &["nextest", "run", "--workspace", "--no-fail-fast"],
        false => &["test", "--workspace", "--no-fail-fast", "--"],
    };
    let mut arguments = runner.to_vec();
    arguments.extend(filters.iter().map(String::as_str));
    let tool = tool.map(|path| path.display().to_string());
    let mut environment = vec![(SERVER_VARIABLE, url.as_str())];
    environment.extend(tool.as_deref().map(|path| (TOOL_VARIABLE, path)));
    cargo(&arguments, &environment)
}

fn has_nextest() -> bool {
    is_there("cargo", &["nextest", "--version"])
}

/// Why a step must be skipped, if its part of the Rust toolchain is not installed.
fn component(command: &str, name: &'static str) -> Option<&'static str> {
    if is_there("cargo", &[command, "--version"]) { None } else { Some(name) }
}

fn step(
    name: &'static str,
    missing: Option<&'static str>,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> Ended {
    heading(name);
    let begin = Instant::now();
    let outcome = match missing {
        Some(component) => {
            println!("skipped: `{component}` is not installed (rustup component add {component})");
            Outcome::Skipped(component)
        }
        None => match work() {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                println!("{error:#}");
                Outcome::Failed(error)
            }
        },
    };
    Ended { name, time: begin.elapsed(), outcome }
}

/// A step without which most can be tested.
fn optional(name: &'static str, work: impl FnOnce() -> anyhow::Result<()>) -> Ended {
    let ended = step(name, None, work);
    match ended.outcome {
        Outcome::Failed(_) => {
            println!("SKIPPED: {name} cannot be installed, and the test that needs it is skipped");
            Ended { outcome: Outcome::NotInstallable, ..ended }
        }
        _ => ended,
    }
}

fn summarise(ended: &[Ended], time: Duration) -> anyhow::Result<()> {
    heading("summary");
    let mut failed = Vec::new();
    for step in ended {
        let word = match &step.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed(error) => {
                failed.push(step.name);
                format!("FAILED: {error}")
            }
            Outcome::NotInstallable => "SKIPPED with its test: it cannot be installed here".to_owned(),
            Outcome::Skipped(component) => format!("skipped, {component} is not installed"),
        };
        println!("{:<30} {:>6} s  {word}", step.name, step.time.as_secs());
    }
    let minutes = format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60);
    if failed.is_empty() {
        println!("\nxtask test: everything passed in {minutes}");
        return Ok(());
    }
    bail!("xtask test: {} failed after {minutes}", failed.join(", "))
}
