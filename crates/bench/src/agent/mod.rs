//! `backup-bench agent`: what the reference agent makes of a machine, beside the shell pipeline that people write by hand and,
//! for a directory, beside restic, in the same run. Reads top to bottom in [`run`].

mod agent_process;
mod data;
mod directory;
mod measure;
mod postgresql;
mod report;
mod shell;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::machine;
use measure::Cost;
use report::Figures;

pub(crate) use measure::{MeasureOptions, run as measure};

/// Makes a PostgreSQL database and a directory of the given size, and in each round backs both up and restores both: with the
/// agent (release build, local store, one stream, zstd level 3, age), with `pg_dump | zstd -3 | age > file` and
/// `tar | zstd -3 | age > file` and their opposites, and the directory with restic. All of them end with their data synced
/// to the disk. Needs about six times the size on disk, and a machine with nothing else to do.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Options {
    /// Size of the database and of the directory, in MiB
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    mebibytes: u32,
    /// The size in MiB that the agent's memory is compared with
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    small_mebibytes: u32,
    /// How often everything is measured, interleaved; medians and spread are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only one of the two
    #[arg(long, value_enum)]
    only: Option<Subject>,
    /// Where the data, the stores and the servers are made and removed again
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = std::env::temp_dir())]
    workspace: PathBuf,
    /// Write the results to docs/benchmarks/agent.md and agent.csv
    #[arg(long)]
    write: bool,
}

/// What is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub(crate) enum Subject {
    /// A PostgreSQL server with one database
    Postgresql,
    /// A directory of files of many sizes
    Directory,
}

/// What one way of doing the work costs, in the order of the rounds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Series {
    backup: Vec<Cost>,
    restore: Vec<Cost>,
}

/// Everything measured of one subject.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Subjects {
    name: &'static str,
    /// What the data is, in words.
    data: String,
    /// Plain bytes of the stream that is backed up.
    bytes: u64,
    /// Name of the way, and its costs; the agent first, the shell pipeline second.
    ways: Vec<(&'static str, Series)>,
    /// The agent's peak of memory in MiB for the small data: backup, restore.
    small: (f64, f64),
}

/// Runs the benchmark and reports.
///
/// # Errors
/// When something cannot be started or fails.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut machine = machine::describe();
    machine.extend(shell::versions());
    let mut figures = Figures::new(options, machine);
    if options.only != Some(Subject::Directory) {
        figures.subjects.push(postgresql::measure(options)?);
    }
    if options.only != Some(Subject::Postgresql) {
        figures.subjects.push(directory::measure(options)?);
    }
    let page = figures.markdown();
    println!("\n{page}");
    if options.write {
        let folder = PathBuf::from("docs/benchmarks");
        std::fs::create_dir_all(&folder).context("run it from the repository's root")?;
        std::fs::write(folder.join("agent.md"), page)?;
        std::fs::write(folder.join("agent.csv"), figures.csv())?;
    }
    Ok(())
}

fn tell(text: &str) {
    println!("==> {text}");
}
