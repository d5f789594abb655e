//! The command line of `backup-chaos`; `cargo xtask chaos` builds the workspace and comes here.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people talks to them")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use backup_chaos::report::Report;
use backup_chaos::run::{self, Run};
use backup_chaos::schedule::{self, Fault};
use backup_chaos::world::Shape;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use private_postgres::clock::Clock;

/// Breaks a whole installation on purpose, and audits what became of its promises
///
/// Starts on 127.0.0.1: a PostgreSQL primary with a synchronous standby for the manager, two APIs, two processes of each of the
/// four default worker groups, and twenty backup agents, two of them beside PostgreSQL servers and eighteen with directories. Under a
/// steady load of backups, restores, cancellations, deletions and retention it injects the faults that follow from the seed:
/// kills and pauses processes, loses, doubles, delays and garbles HTTP, restarts, freezes and fails over the database, fills
/// the disk of the store, moves wall clocks. Then it heals everything, waits, restores a sample and checks from the
/// database, the agents' journals and logs and the store that nothing was lost, nothing was begun twice, nothing is stuck, nothing
/// was wrongly deleted, and every byte is right. Exit code 0 only with no broken promise.
///
/// About a second and a quarter per fault, and two minutes around them. The same seed gives the same schedule; what it meets
/// depends on the machine. Moving clocks needs libfaketime and filling the disk needs root; without them these faults do nothing,
/// and the report says so.
#[derive(Parser)]
#[command(name = "backup-chaos", bin_name = "cargo xtask chaos")]
struct Arguments {
    /// The seed of schedule and load
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many faults
    #[arg(long, default_value_t = schedule::BLOCK)]
    faults: usize,
    /// Print the schedule and do nothing
    #[arg(long, visible_alias = "dry-run")]
    print: bool,
    /// Keep logs, notes and journals although everything was right (they are always kept when something was not)
    #[arg(long)]
    keep: bool,
    /// Write the report as Markdown to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when no promise was broken.
fn start(arguments: &Arguments) -> anyhow::Result<bool> {
    let shape = Shape { has_clocks: Clock::install().is_ok(), ..Shape::default() };
    let schedule = schedule::plan(arguments.seed, arguments.faults, shape.parties());
    if arguments.print {
        schedule.iter().for_each(|fault| println!("{fault}"));
        return Ok(true);
    }
    if !shape.has_clocks {
        eprintln!("libfaketime is missing: no wall clock can be moved");
    }
    let evidence = tempfile::Builder::new().prefix("backup-chaos-evidence.").tempdir()?;
    let result = carry_out(arguments, shape, &schedule, evidence.path());
    let is_right = result.as_ref().is_ok_and(|report| report.violations.is_empty());
    if arguments.keep || !is_right {
        eprintln!("logs, notes and journals: {}", evidence.keep().display());
    }
    let report = result?;
    match arguments.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Output::Human => println!("{}", report.markdown()),
    }
    if let Some(file) = &arguments.report {
        std::fs::write(file, report.markdown())
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(is_right)
}

fn carry_out(
    arguments: &Arguments,
    shape: Shape,
    schedule: &[Fault],
    evidence: &std::path::Path,
) -> anyhow::Result<Report> {
    let bar = ProgressBar::new(u64::try_from(schedule.len())?);
    let style = ProgressStyle::with_template("[{elapsed_precise}] {bar:40} {pos}/{len} faults  {msg}")?;
    bar.set_style(style);
    let tell = |text: &str| {
        if bar.is_hidden() {
            eprintln!("{text}");
        }
        bar.set_message(text.to_owned());
        bar.tick();
    };
    let on_progress = |done: usize| bar.set_position(u64::try_from(done).unwrap_or_default());
    let run = Run { seed: arguments.seed, shape, schedule, evidence };
    let report = run::run(&run, &tell, &on_progress);
    bar.finish_and_clear();
    report
}
