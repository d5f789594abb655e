//! `backup-bench fleet`: what a fleet of thousands of instances costs the manager, and how late it is. Reads top to bottom in
//! [`run`]. The simulated side is in `simulation`; what is measured, part by part, in `synchronise`, `fan_out`, `steady` and
//! `retention`.

mod demands;
mod fan_out;
mod figures;
mod growth;
mod jobs;
mod process;
mod report;
mod retention;
mod shape;
mod simulation;
mod stage;
mod statements;
mod steady;
mod synchronise;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::machine;
use figures::Figure;
use report::Report;
use stage::Stage;

pub(crate) use simulation::{Options as SimulationOptions, run as simulate};

/// Nothing takes so long unless it hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// Starts PostgreSQL (durable), the API and the workers as in production (release build), and a process that plays the agents
/// of all instances and their brokers. Parts: (a) a backup of all instances at once; (b) a steady state with as many backups
/// per hour as instances, a tenth of them running; (c) retention over a hundred backups per instance; (d) the synchronisation
/// of all instances, which the other parts need and which is always done; (e) one broker's agents hang.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Numbers of service instances, each measured with an installation of its own
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000], value_parser = clap::value_parser!(u32).range(100..=100_000))]
    instances: Vec<u32>,
    /// What is measured
    #[arg(long = "part", value_delimiter = ',', default_values_t = ['a', 'b', 'c', 'd', 'e'], value_parser = part)]
    parts: Vec<char>,
    /// Seconds of the parts that watch a steady state
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
    /// `count` of the worker groups that back up and that delete
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Print the statements that took most of the database's time in each part
    #[arg(long)]
    statements: bool,
    /// Write the results to docs/benchmarks/fleet.md and fleet.csv
    #[arg(long)]
    write: bool,
}

impl Options {
    /// What to type to run it again.
    fn command(&self) -> String {
        let instances: Vec<String> = self.instances.iter().map(u32::to_string).collect();
        let parts: Vec<String> = self.parts.iter().map(char::to_string).collect();
        format!(
            "cargo xtask bench fleet --instances {} --part {} --seconds {} --count {} --write",
            instances.join(","),
            parts.join(","),
            self.seconds,
            self.count
        )
    }
}

fn part(text: &str) -> Result<char, String> {
    match text {
        "a" => Ok('a'),
        "b" => Ok('b'),
        "c" => Ok('c'),
        "d" => Ok('d'),
        "e" => Ok('e'),
        _ => Err("the parts are a, b, c, d and e".to_owned()),
    }
}

/// Runs the benchmark and reports.
///
/// # Errors
/// When something cannot be started, or does not get done in time.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let machine = machine::describe().into_iter().filter(|(name, _)| *name != "wrk");
    let mut about: Vec<(String, String)> = machine.map(|(name, value)| (name.to_owned(), value)).collect();
    let mut runs = Vec::new();
    for instances in &options.instances {
        println!("==> {instances} instances");
        let mut stage = Stage::start(options, *instances)?;
        if runs.is_empty() {
            let settings = stage.settings()?;
            let settings: Vec<String> =
                settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
            about.push(("PostgreSQL".to_owned(), settings.join(", ")));
        }
        runs.push((*instances, measure(&mut stage, options)?));
    }
    let mut report = Report::new(options, about);
    runs.into_iter().for_each(|(instances, figures)| report.add(instances, figures));
    let page = report.markdown();
    println!("\n{page}");
    for broken in report.demands().iter().filter(|demand| !demand.is_kept) {
        println!("NOT AS DEMANDED: {}: {}, demanded: {}", broken.of, broken.found, broken.demanded);
    }
    if options.write {
        let folder = PathBuf::from("docs/benchmarks");
        std::fs::create_dir_all(&folder).context("run it from the repository's root")?;
        std::fs::write(folder.join("fleet.md"), page)?;
        std::fs::write(folder.join("fleet.csv"), report.csv())?;
    }
    Ok(())
}

/// All parts that were asked for, in the order in which each finds what it needs.
fn measure(stage: &mut Stage, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let wants = |part: char| options.parts.contains(&part);
    let mut all = Vec::new();
    let mut add = |figures: figures::Figures| {
        for figure in &figures.all {
            println!("    {} {}: {:.3} {}", figure.part, figure.name, figure.value, figure.unit);
        }
        all.extend(figures.all);
    };
    println!("==> d. synchronisation");
    add(synchronise::measure(stage, LIMIT)?);
    (0..3).try_for_each(|group| stage.start_worker(group))?;
    stage.installation.wait_until_healthy()?;
    if wants('a') {
        println!("==> a. a backup of all instances");
        add(fan_out::measure(stage, LIMIT)?);
        tell_statements(stage, options)?;
    }
    if wants('b') || wants('e') {
        println!("==> b. the steady state");
        steady::begin(stage, LIMIT)?;
        add(steady::measure(stage, options.seconds)?);
        tell_statements(stage, options)?;
    }
    if wants('e') {
        println!("==> e. one broker's agents hang");
        add(steady::measure_hanging(stage, options.seconds)?);
    }
    if wants('c') {
        println!("==> c. retention");
        add(retention::measure(stage, LIMIT)?);
        tell_statements(stage, options)?;
    }
    Ok(all)
}

fn tell_statements(stage: &Stage, options: &Options) -> anyhow::Result<()> {
    if options.statements {
        println!("{}", statements::top(stage)?);
    }
    Ok(())
}
