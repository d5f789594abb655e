//! The program `backup-agent`: reads its configuration and serves until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use backup_agent::check::{self, CheckArguments};
use backup_agent::fetch::{self, DescribeArguments, FetchArguments};
use backup_agent::{Config, ServeError, serve};
use backup_daemon::exit::{Failure, run_main};
use backup_daemon::logging::{self, LogSettings};
use backup_daemon::{shutdown, systemd};
use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

/// Overrides the level of the log.
const LOG: &str = "BACKUP_AGENT_LOG";

/// Backs up and restores one service instance on behalf of the backup manager.
#[derive(Parser)]
#[command(
    name = "backup-agent",
    version,
    after_help = "Every key of the configuration can be given as an environment \
    variable, for example BACKUP_AGENT__CREDENTIAL__PASSWORD. Exit codes: 0 fine, 1 failed, 2 wrong usage, \
    78 bad configuration."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the agent protocol until SIGTERM or SIGINT; operations that still run are then recorded as interrupted
    Serve {
        /// The configuration file
        #[arg(
            long,
            value_name = "FILE",
            env = "BACKUP_AGENT_CONFIG",
            default_value = "/etc/backup-agent/backup-agent.yml"
        )]
        config: PathBuf,
    },
    /// Read the configuration, report every mistake with its key, and end
    CheckConfig {
        /// The configuration file
        #[arg(
            long,
            value_name = "FILE",
            env = "BACKUP_AGENT_CONFIG",
            default_value = "/etc/backup-agent/backup-agent.yml"
        )]
        config: PathBuf,
    },
    /// Ask the data service for its version, try everything with every store, and say in words what does not work
    Check(CheckArguments),
    /// Write one backup as a plain stream, or list the backups of a store, without any manager
    Fetch(FetchArguments),
    /// Write the metadata.json of a backup that older programs have stored without one
    Describe(DescribeArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::Check(_) | Command::Fetch(_) | Command::Describe(_)) {
        // Whoever waits sees that a store is asked again, and why.
        logging::init(&LogSettings::for_a_command(), LOG);
    }
    run_main("backup-agent", async {
        match arguments.command {
            Command::CheckConfig { config } => Ok(Config::load(&config).map(drop)?),
            Command::Serve { config } => run(Config::load(&config)?).await,
            Command::Check(arguments) => check::run(arguments).await,
            Command::Fetch(arguments) => fetch::run(arguments).await,
            Command::Describe(arguments) => fetch::describe(arguments).await,
        }
    })
}

async fn run(config: Config) -> Result<(), Failure> {
    logging::init(&config.log, LOG);
    let stop = shutdown::token().map_err(Failure::failed)?;
    let agent = serve(config).await.map_err(|error| match error {
        ServeError::Io { .. } | ServeError::Journal(_) => Failure::failed(error),
        _ => Failure::bad_configuration(error),
    })?;
    tracing::info!(address = %agent.address(), "serving");
    systemd::ready();
    // To the very end: a restore whose exchange has begun is waited for, and must not look hung meanwhile.
    systemd::watchdog(CancellationToken::new());
    stop.cancelled().await;
    systemd::stopping();
    agent.stop().await.map_err(Failure::failed)
}
