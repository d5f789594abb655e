//! `backup-bench api`: how fast the API answers in front of a long history, beside what the least server and the bare SQL
//! reach on the same machine in the same minutes. Reads top to bottom in [`run`].

mod floor;
mod lists;
mod plans;
mod report;
mod requests;
mod seed;
mod stage;
mod statements;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::machine;
use crate::pgbench::{self, Extent};
use report::{Figures, Row};
use requests::{Fleet, GET_ONE, POST, Request};
use stage::Stage;

/// Starts PostgreSQL (durable), fills it with a long history, starts the API as in production (release build, HTTP on
/// 127.0.0.1, passwords checked, one log line per request) and loads it with wrk. Two floors are measured in the same
/// rounds with the same number of connections: an actix-web handler that answers a constant, and the very SQL statements
/// of a request, taken from the server's log and sent by pgbench. "Of floor" is the API's rate divided by that of the
/// slower floor.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Options {
    /// Service instances
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    instances: u32,
    /// Finished backups, the same number for each instance
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    backups: u32,
    /// Connections of the load generator, and clients of pgbench
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=1000))]
    connections: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// How often everything is measured, interleaved; medians and spread are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// `database.pool_size` of the API; its default when absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pool_size: Option<u32>,
    /// Leave out what answers with lists: minutes less
    #[arg(long)]
    only_points: bool,
    /// How the results are printed at the end
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Write the results to docs/benchmarks/api.md and api.csv
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
enum Output {
    /// For people, as in docs/benchmarks/api.md
    Table,
    /// One JSON document
    Json,
}

/// Runs the benchmark and reports.
///
/// # Errors
/// When something cannot be started, or an answer is no success.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let fleet = Fleet::new(options.instances, options.backups);
    let machine = machine::describe();
    let tell = |text: &str| {
        if options.output == Output::Table {
            println!("==> {text}");
        }
    };
    tell("starting PostgreSQL and the API");
    let stage = Stage::start(options.pool_size)?;
    let mut figures = Figures::new(options, machine, stage.settings()?);

    tell(&format!("{} instances with one backup each", fleet.instances));
    seed::instances(&stage, &fleet)?;
    let young = fleet.with_one_backup_each();
    let mut measured = vec![Measured::new(&stage, &young, &POST)?, Measured::new(&stage, &young, &GET_ONE)?];
    measure(&stage, &young, options, &mut measured, None)?;
    figures.young = measured.into_iter().map(Measured::into_row).collect();

    tell(&format!("{} more backups", fleet.backups.saturating_sub(young.backups)));
    seed::history(&stage, &fleet)?;
    let mut measured = vec![Measured::new(&stage, &fleet, &POST)?, Measured::new(&stage, &fleet, &GET_ONE)?];
    for one in &mut measured {
        figures.plans.extend(plans::of(&stage, one.request.title, &one.statements)?);
    }
    if !options.only_points {
        for request in [requests::LIST_BACKUPS, requests::PAGE] {
            measured.push(Measured::without_floor(request));
        }
    }
    tell(&format!("{} rounds of {} s each", options.rounds, options.seconds));
    let mut constant = Row::new("a constant (floor)");
    measure(&stage, &fleet, options, &mut measured, Some(&mut constant))?;
    figures.old = measured.into_iter().map(Measured::into_row).collect();
    figures.constant = constant;
    if !options.only_points {
        tell("the whole list, streamed");
        figures.lists = lists::measure(&stage, options.rounds)?;
    }
    let page = figures.markdown();
    match options.output {
        Output::Table => println!("\n{page}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&figures)?),
    }
    if options.write {
        let folder = PathBuf::from("docs/benchmarks");
        std::fs::create_dir_all(&folder).context("run it from the repository's root")?;
        std::fs::write(folder.join("api.md"), page)?;
        std::fs::write(folder.join("api.csv"), figures.csv())?;
    }
    Ok(())
}

/// A request while it is measured.
struct Measured {
    request: Request,
    row: Row,
    statements: Vec<statements::Statement>,
    script: Option<pgbench::Script>,
}

impl Measured {
    /// With its floor: the statements of one real request.
    fn new(stage: &Stage, fleet: &Fleet, request: &Request) -> anyhow::Result<Self> {
        let statements = statements::of_one(stage, fleet, request)?;
        let script = statements::script(fleet, &statements);
        let mut row = Row::new(request.title);
        row.statements = Some(statements.len());
        Ok(Self { row, script: Some(script), statements, request: *request })
    }

    fn without_floor(request: Request) -> Self {
        Self { row: Row::new(request.title), script: None, statements: Vec::new(), request }
    }

    fn into_row(self) -> Row {
        self.row
    }
}

/// All rounds: in each, the constant (if asked for), then every request and its SQL alone.
fn measure(
    stage: &Stage,
    fleet: &Fleet,
    options: &Options,
    all: &mut [Measured],
    mut constant: Option<&mut Row>,
) -> anyhow::Result<()> {
    for _ in 0..options.rounds {
        if let Some(row) = constant.as_deref_mut() {
            let body = stage.client().ask("GET", &fleet.example(&GET_ONE))?;
            row.api.0.push(floor::constant(stage, fleet, body, options)?);
        }
        for one in all.iter_mut() {
            // Credentials are remembered for a minute; checking them anew is not what is measured here.
            stage.client().ask("GET", &fleet.example(&GET_ONE))?;
            one.row.api.0.push(stage.load(fleet, &one.request, options)?);
            if let Some(script) = &one.script {
                let (server, extent) = (&stage.server, Extent::Seconds(options.seconds));
                let sample = pgbench::run(server, stage::DATABASE, script, options.connections, extent)?;
                one.row.sql.0.push(sample);
            }
        }
    }
    Ok(())
}
