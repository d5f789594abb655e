//! The command line of `cargo xtask`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::demo::{self, Chaos};
use xtask::test;

/// The repository's chores. Nothing but Rust is needed: on Debian, as root, what is missing is installed; elsewhere you are told
/// what to install.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Backs up and restores a real PostgreSQL server, and compares everything
    ///
    /// Builds the workspace, then starts on 127.0.0.1: a PostgreSQL server for the manager, a second one with more than 100 MB of
    /// data as the service instance, a backup agent beside it, the API on HTTP and HTTPS, and the four default worker groups as
    /// four processes. Takes a backup through the API, damages the data, restores, and compares every row, definition, role and
    /// grant with what was there before. Exit code 0 only if all is equal. Leaves nothing behind; takes less than two minutes
    /// after the build.
    Demo {
        /// Leave everything running afterwards, print URLs, credentials and commands to try, and end on Ctrl-C
        #[arg(long)]
        keep: bool,
        /// Kill (kill -9) this party in the middle of the backup and start it again
        #[arg(long, value_enum, value_name = "PARTY")]
        chaos: Option<Chaos>,
        /// Take the programs as they are built already
        #[arg(long, hide = true)]
        no_build: bool,
    },
    /// Runs everything that must be green: format, lints, build, tests, documentation
    ///
    /// Starts the servers it needs. Uses cargo-nextest when it is installed, `cargo test` otherwise. With filters, only builds and
    /// runs the tests whose names contain one of them.
    #[command(visible_alias = "ci")]
    Test {
        /// Run only tests whose names contain this
        filters: Vec<String>,
    },
    /// Measures the release build beside floors of the same run
    ///
    /// `cargo xtask bench api` loads the HTTP API in front of a million backups, beside a handler that answers a constant and
    /// beside the bare SQL; takes about ten minutes after the build. `cargo xtask bench agent` backs up and restores 4 GiB of
    /// PostgreSQL and of files beside shell pipelines and restic, three times, on 25 GiB of disk. `cargo xtask bench queue` gives the
    /// job queue and six other Postgres queues, which it installs by itself, the same work; takes 25 minutes. `cargo xtask bench
    /// fleet` runs the real daemons with 1,000 and with 10,000 simulated instances, in a quarter of an hour. `--help` behind a name
    /// shows its options,
    /// `--write` renews docs/benchmarks. Needs 3 GiB of disk, and a machine with nothing else to do.
    Bench {
        /// The benchmark and its options, for example: api --instances 1000 --backups 100000 --seconds 5
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Breaks a whole installation on purpose, and audits what became of its promises
    ///
    /// Builds the workspace and starts two APIs, eight worker processes, twenty agents and a PostgreSQL primary with its standby on
    /// 127.0.0.1, loads them, injects seeded faults, and checks afterwards that nothing was lost, begun twice, left over or wrongly
    /// deleted. `cargo xtask chaos --help` shows the options. As root on Debian for all sorts of faults.
    #[command(disable_help_flag = true)]
    Chaos {
        /// Its options, for example: --seed 7 --faults 1000
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Checks what the build and the tests need, and installs it where that is possible
    Prepare,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo { keep, chaos, no_build } => {
            return demo::main(&demo::Options { keep, chaos, no_build });
        }
        Command::Test { filters } => test::main(&filters),
        Command::Bench { arguments } => xtask::bench::main(&arguments),
        Command::Chaos { arguments } => xtask::chaos::main(&arguments),
        Command::Prepare => xtask::prepare::prepare_for_tests(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::run::complain(&error);
            ExitCode::FAILURE
        }
    }
}
