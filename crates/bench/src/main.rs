//! The command line of the benchmarks; `cargo xtask bench` prepares the machine and comes here. A benchmark starts the real
//! daemons on 127.0.0.1 and measures them beside a floor: the least that the same work costs on the same machine in the
//! same minutes. Nothing here is a test, and nothing is asserted. Further benchmarks become further subcommands.
#![allow(clippy::print_stdout, reason = "a command for people talks to them")]

mod agent;
mod api;
mod fleet;
mod http;
mod machine;
mod memory;
mod pgbench;
mod postgres;
mod queue;
mod samples;
mod wrk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Benchmarks of the a9s Backup Manager: real daemons on 127.0.0.1, beside floors measured in the same run.
#[derive(Parser)]
#[command(name = "backup-bench", bin_name = "cargo xtask bench")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// The HTTP API in front of a database with a long history
    Api(api::Options),
    /// The reference agent beside a shell pipeline and restic
    Agent(agent::Options),
    /// The real daemons with thousands of simulated instances
    Fleet(fleet::Options),
    /// Plays the agents and brokers of a fleet
    #[command(hide = true)]
    SimulateFleet(fleet::SimulationOptions),
    /// The job queue beside other Postgres queues
    Queue(queue::Options),
    /// Our queue as a program for the benchmark of queues
    #[command(hide = true, subcommand)]
    QueueAdapter(queue::Role),
    /// Runs a command and prints what it cost
    #[command(hide = true)]
    Measure(agent::MeasureOptions),
}

#[expect(clippy::print_stderr, reason = "standard error is where a command reports its failure")]
fn main() -> ExitCode {
    let result = match Arguments::parse().benchmark {
        Benchmark::Api(options) => api::run(&options),
        Benchmark::Agent(options) => agent::run(&options),
        Benchmark::Fleet(options) => fleet::run(&options),
        Benchmark::SimulateFleet(options) => fleet::simulate(&options),
        Benchmark::Queue(options) => queue::run(&options),
        Benchmark::QueueAdapter(role) => queue::play(&role),
        Benchmark::Measure(options) => agent::measure(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
