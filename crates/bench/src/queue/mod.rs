//! `backup-bench queue`: our job queue beside other Postgres queues, on one server, in the same minutes. Reads top to bottom
//! in [`run`]; who takes part is in `contender.rs`, what runs of them in `crates/bench/peers`.

mod clock;
mod contender;
mod drain;
mod figures;
mod floor;
mod install;
mod lane;
mod latency;
mod ours;
mod process;
mod stage;

use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};

use contender::{Contender, KINDS};
use figures::{Figure, Figures};
use lane::Lane;
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
    /// Install the peers, and end
    #[arg(long)]
    prepare: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Jobs per second of one worker process
    Drain,
    /// From the enqueue to the first instruction
    Latency,
    /// Jobs per second of a bulk enqueue
    Enqueue,
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
}

impl Options {
    fn measures(&self, measure: Measure) -> bool {
        self.measure.is_empty() || self.measure.contains(&measure)
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
/// When the server or our own queue fails; a peer that fails is named and left out of what it failed at.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let contenders = install(options)?;
    if options.prepare {
        return Ok(());
    }
    tell("starting PostgreSQL and making the tables");
    let stage = Stage::start()?;
    let contenders: Vec<Contender> =
        contenders.into_iter().filter(|contender| prepare(&stage, contender, options)).collect();
    floor::prepare(&stage)?;
    let mut figures = Figures::default();
    for round in 1..=options.rounds {
        tell(&format!("round {round} of {}", options.rounds));
        if options.measures(Measure::Floor) {
            measure_floor(&stage, &contenders, options, round, &mut figures)?;
        }
        for contender in &contenders {
            enqueue(&stage, contender, options, round, &mut figures)?;
        }
        for scenario in options.scenarios() {
            for contender in &contenders {
                if let Err(error) = visit(&stage, contender, scenario, options, round, &mut figures) {
                    println!("{} failed ({}): {error:#}", contender.name(), scenario.word());
                }
            }
        }
    }
    Ok(())
}

/// Those who take part and could be installed.
fn install(options: &Options) -> anyhow::Result<Vec<Contender>> {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    if let Some(unknown) = options.only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no contender `{unknown}`; there are {}", names.join(", "));
    }
    let wanted = KINDS
        .iter()
        .filter(|kind| options.only.is_empty() || options.only.iter().any(|name| name == kind.name));
    let mut contenders = Vec::new();
    for kind in wanted {
        match install::install(kind) {
            Ok(contender) => contenders.push(contender),
            Err(error) => println!("SKIPPED: {}, which cannot be installed: {error:#}", kind.name),
        }
    }
    Ok(contenders)
}

/// Makes the databases of a contender; tells whether that worked.
fn prepare(stage: &Stage, contender: &Contender, options: &Options) -> bool {
    let make = |scenario| Lane::prepare(stage, contender, scenario, options.history);
    let with_history = options.scenarios().contains(&Scenario::History);
    let made = make(Scenario::Plain)
        .and_then(|()| if with_history { make(Scenario::History) } else { Ok(()) });
    match made {
        Ok(()) => true,
        Err(error) => {
            println!("SKIPPED: {}: {error:#}", contender.name());
            false
        }
    }
}

fn measure_floor(
    stage: &Stage,
    contenders: &[Contender],
    options: &Options,
    round: u32,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for batch in floor::BATCHES {
        let rate = floor::least(stage, options.jobs, batch)?;
        println!("floor, least table, batch {batch}: {rate:.0} jobs/s");
        figures.add(Figure::FloorRate, Scenario::Plain, &format!("least table, batch {batch}"), round, vec![rate]);
        if let Some(ours) = contenders.iter().find(|contender| contender.name() == "ours") {
            let mut lane = Lane::open(stage, ours, Scenario::Plain)?;
            let rate = floor::ours(stage, &mut lane, options.jobs, batch)?;
            println!("floor, our statements, batch {batch}: {rate:.0} jobs/s");
            let name = format!("our statements, batch {batch}");
            figures.add(Figure::FloorRate, Scenario::Plain, &name, round, vec![rate]);
        }
    }
    Ok(())
}

/// The bulk enqueue.
fn enqueue(
    stage: &Stage,
    contender: &Contender,
    options: &Options,
    round: u32,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    if !options.measures(Measure::Enqueue) {
        return Ok(());
    }
    let lane = Lane::open(stage, contender, Scenario::Plain)?;
    lane.clear()?;
    let rate = f64::from(options.bulk) / lane.fill(options.bulk)?;
    println!("{}, enqueue: {rate:.0} jobs/s", contender.name());
    figures.add(Figure::EnqueueRate, Scenario::Plain, contender.name(), round, vec![rate]);
    lane.clear()
}

/// Drain and latency of one contender in one scenario; an open transaction is open for both.
fn visit(
    stage: &Stage,
    contender: &Contender,
    scenario: Scenario,
    options: &Options,
    round: u32,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut lane = Lane::open(stage, contender, scenario)?;
    let patience = Duration::from_secs(options.patience.into());
    let (name, word) = (contender.name(), scenario.word());
    lane.clear()?;
    let mut open = None;
    if options.measures(Measure::Drain) {
        lane.fill(options.jobs)?;
        lane.tidy()?;
        open = (scenario == Scenario::Open).then(|| lane.hold()).transpose()?;
        let drain = drain::measure(&mut lane, options.jobs, patience)?;
        println!("{name}, drain, {word}: {:.0} jobs/s ({} jobs)", drain.rate(), drain.jobs);
        figures.add(Figure::DrainRate, scenario, name, round, vec![drain.rate()]);
        figures.add(Figure::DrainJobs, scenario, name, round, vec![f64::from(drain.jobs)]);
        figures.add(Figure::DrainSecondsFromGo, scenario, name, round, vec![drain.seconds_from_go]);
        // What the open transaction keeps from being removed is part of that scenario.
        if scenario == Scenario::Open { lane.remove_pending()? } else { lane.clear()? }
    }
    if options.measures(Measure::Latency) {
        if scenario == Scenario::Open && open.is_none() {
            open = Some(lane.hold()?);
        }
        let latencies = latency::measure(&lane, options.samples, patience)?;
        figures.add(Figure::LatencyAfterCommit, scenario, name, round, latencies.after_commit);
        figures.add(Figure::LatencyAfterCall, scenario, name, round, latencies.after_call);
        let at = |share| figures.summary(Figure::LatencyAfterCommit, scenario, name, share).map(|one| one.median);
        println!("{name}, latency, {word}: median {:.2?} ms, 95 % {:.2?} ms", at(0.5), at(0.95));
    }
    drop(open);
    lane.clear()
}

fn tell(text: &str) {
    println!("==> {text}");
}
