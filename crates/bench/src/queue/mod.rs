//! `backup-bench queue`: our job queue beside other Postgres queues, on one server, in the same minutes. Reads top to bottom
//! in [`run()`]; who takes part is in `contender.rs`, what runs of them in `crates/bench/peers`.

mod clock;
mod contender;
mod drain;
mod figures;
mod floor;
mod idle;
mod install;
mod lane;
mod latency;
mod ours;
mod plot;
mod process;
mod report;
mod run;
mod stage;

use std::path::PathBuf;

use anyhow::Context;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::machine;
use contender::Contender;
use figures::Figures;
use report::Report;
use run::Run;
use stage::Stage;

pub(crate) use ours::{Role, run as play};

/// Starts one PostgreSQL (durable), and on it our queue and its peers, each as one worker process in its own documented fast
/// configuration, and gives all of them the same work, in turns:
///
/// drain: finish jobs that wait and do nothing. latency: from the return of an enqueue to the first instruction of the
/// job on an idle worker. enqueue: put 100,000 jobs in, in bulk. idle: what a worker without work costs in a minute.
/// floor: what the bare statements of our queue, and of the least table, cost with pgbench.
///
/// drain and latency are measured three times: plain; with a long history (as many jobs again finished, and due
/// tomorrow); and beside a transaction that stays open, so that no dead row can be removed.
///
/// The peers are installed by npm, pip, apt and cargo into `bench-peers` below the target folder; one that cannot be
/// installed is left out, and named. Needs about 10 GiB of disk, and a machine with nothing else to do.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How often everything is measured, in turns; medians and spread are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Waiting jobs of the drain
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    jobs: u32,
    /// Finished jobs, and jobs that are due tomorrow, of the long history
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    history: u32,
    /// Jobs of the bulk enqueue
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    bulk: u32,
    /// Jobs whose latency is taken, in each round
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    samples: u32,
    /// Seconds after which a drain, or the taking of latencies, is cut short: what was done by then counts
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=3600))]
    patience: u32,
    /// Only these contenders, for example: ours,graphile-worker
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Only these measurements
    #[arg(long, value_enum, value_delimiter = ',', value_name = "MEASURES")]
    measure: Vec<Measure>,
    /// Drain and latency only in these scenarios
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SCENARIOS")]
    scenario: Vec<Scenario>,
    /// Seconds for which idle workers are watched
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    idle_seconds: u32,
    /// Install the peers, and end
    #[arg(long)]
    prepare: bool,
    /// Write the results to docs/benchmarks/queue.md, queue.csv and queue.svg
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Jobs per second of one worker process
    Drain,
    /// From the enqueue to the first instruction
    Latency,
    /// Jobs per second of a bulk enqueue
    Enqueue,
    /// What a worker without work costs
    Idle,
    /// The bare statements with pgbench
    Floor,
}

/// What else is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Nothing
    Plain,
    /// Many jobs that are finished, and many that are not due
    History,
    /// A transaction that stays open
    Open,
}

impl Scenario {
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::History => "history",
            Self::Open => "open",
        }
    }

    /// For readers.
    fn words(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::History => "long history",
            Self::Open => "open transaction",
        }
    }
}

impl Options {
    fn measures(&self, measure: Measure) -> bool {
        self.measure.is_empty() || self.measure.contains(&measure)
    }

    /// The command that repeats the run, with what is not as usual.
    fn command(&self) -> String {
        let mut command = format!(
            "cargo xtask bench queue --rounds {} --jobs {} --history {}",
            self.rounds, self.jobs, self.history
        );
        let words = |values: Vec<String>| values.join(",");
        let name = |value: &dyn Fn() -> Option<PossibleValue>| value().map(|one| one.get_name().to_owned());
        let measures = self.measure.iter().filter_map(|one| name(&|| one.to_possible_value())).collect();
        let scenarios = self.scenario.iter().filter_map(|one| name(&|| one.to_possible_value())).collect();
        for (option, value) in [
            ("bulk", Some(self.bulk.to_string()).filter(|_| self.bulk != 100_000)),
            ("samples", Some(self.samples.to_string()).filter(|_| self.samples != 200)),
            ("patience", Some(self.patience.to_string()).filter(|_| self.patience != 12)),
            ("idle-seconds", Some(self.idle_seconds.to_string()).filter(|_| self.idle_seconds != 60)),
            ("only", Some(words(self.only.clone())).filter(|value| !value.is_empty())),
            ("measure", Some(words(measures)).filter(|value| !value.is_empty())),
            ("scenario", Some(words(scenarios)).filter(|value| !value.is_empty())),
        ] {
            if let Some(value) = value {
                command.push_str(&format!(" --{option} {value}"));
            }
        }
        command.push_str(" --write");
        command
    }

    /// The scenarios of drain and latency.
    fn scenarios(&self) -> Vec<Scenario> {
        let wanted = |one: &Scenario| self.scenario.is_empty() || self.scenario.contains(one);
        [Scenario::Plain, Scenario::History, Scenario::Open].into_iter().filter(wanted).collect()
    }
}

/// Runs the benchmark and reports.
///
/// # Errors
/// When the server or the floor fails; a contender that fails is named and left out of what it failed at.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut run = Run { options, figures: Figures::default(), troubles: Vec::new() };
    let contenders = run.install()?;
    if options.prepare {
        return Ok(());
    }
    let machine = machine::describe();
    tell("starting PostgreSQL and making the tables");
    let stage = Stage::start()?;
    let contenders: Vec<Contender> =
        contenders.into_iter().filter(|contender| run.makes_tables(&stage, contender)).collect();
    floor::prepare(&stage)?;
    for round in 1..=options.rounds {
        tell(&format!("round {round} of {}", options.rounds));
        if options.measures(Measure::Floor) {
            run.floor(&stage, &contenders, round)?;
        }
        if options.measures(Measure::Enqueue) {
            for contender in &contenders {
                let result = run.enqueue(&stage, contender, round);
                run.note(contender.name(), "the bulk enqueue", result);
            }
        }
        for scenario in options.scenarios() {
            for contender in &contenders {
                let result = run.visit(&stage, contender, scenario, round);
                run.note(contender.name(), scenario.words(), result);
            }
        }
    }
    if options.measures(Measure::Idle) {
        tell(&format!("idle workers, {} s", options.idle_seconds));
        run.idle(&stage, &contenders)?;
    }
    let report = Report {
        options,
        machine,
        postgresql: stage.settings()?,
        contenders: &contenders,
        troubles: &run.troubles,
        figures: &run.figures,
    };
    let page = report.markdown();
    println!("\n{page}");
    if options.write {
        let folder = PathBuf::from("docs/benchmarks");
        std::fs::create_dir_all(&folder).context("run it from the repository's root")?;
        let names: Vec<&str> = contenders.iter().map(Contender::name).collect();
        std::fs::write(folder.join("queue.md"), page)?;
        std::fs::write(folder.join("queue.csv"), run.figures.csv())?;
        std::fs::write(folder.join("queue.svg"), plot::svg(&run.figures, &names))?;
    }
    Ok(())
}

fn tell(text: &str) {
    println!("==> {text}");
}
