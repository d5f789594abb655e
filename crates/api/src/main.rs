//! The daemon `backup-manager-api` and its small commands. Exit codes are in [`backup_daemon::exit`].

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use backup_config::{LOG_ENV, Settings};
use backup_core::store::{Database, lost, migrations};
use backup_core::{Error, Manager};
use backup_daemon::exit::{Failure, run_main};
use backup_daemon::{limits, logging, shutdown, systemd, tls};
use clap::{Parser, Subcommand};
use secrecy::SecretString;

/// How long the database may be silent on connections that stand while it answers on new ones.
const SILENCE: Duration = Duration::from_secs(30);
const LOST: &str = "the connections to the database hang, and new ones do not: it must be another server now";

/// The HTTP API of the a9s Backup Manager.
#[derive(Parser)]
#[command(version, name = "backup-manager-api")]
struct Arguments {
    /// The configuration file
    #[arg(
        long,
        global = true,
        env = "BACKUP_MANAGER_CONFIG",
        default_value = "/etc/a9s-backup-manager/backup-manager.yml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests (this is what happens without a command, too)
    Serve,
    /// Check the configuration and what it points to, say "ok" or everything that is wrong, and end
    CheckConfig,
    /// Bring the database's schema up to date and end
    Migrate,
    /// Print the OpenAPI document of the API and end
    Openapi,
    /// Read a password from standard input and print its hash for auth.users
    HashPassword,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run_main("backup-manager-api", async move {
        match arguments.command.unwrap_or(Command::Serve) {
            Command::Serve => serve(&arguments.config).await,
            Command::CheckConfig => check_config(&arguments.config),
            Command::Migrate => migrate(&arguments.config).await,
            Command::Openapi => openapi(),
            Command::HashPassword => hash_password(),
        }
    })
}

async fn serve(config: &Path) -> Result<(), Failure> {
    let settings = start_up(config)?;
    let stop = shutdown::token().map_err(Failure::failed)?;
    let core = settings.core()?;
    let database = tokio::select! {
        database = open_database(&settings) => database?,
        () = stop.cancelled() => return Ok(()),
    };
    let manager = Manager::new(database.clone(), core);
    let mut running =
        backup_api::start(manager, &settings.auth, &settings.listen).await.map_err(|error| match error {
            backup_api::StartError::Listen { .. } => Failure::failed(error),
            other => Failure::bad_configuration(other),
        })?;
    for (scheme, address) in [("http", running.http), ("https", running.https)] {
        if let Some(address) = address {
            tracing::info!("answering on {scheme}://{address}");
        }
    }
    systemd::ready();
    systemd::watchdog(stop.clone());
    tokio::select! {
        () = stop.cancelled() => {}
        ended = running.ended() => return ended.map_err(Failure::failed),
        // Nothing of this process is worth keeping; systemd starts it again.
        () = lost(&database, SILENCE) => return Err(Failure::failed(LOST)),
    }
    systemd::stopping();
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the configuration and starts logging.
fn start_up(config: &Path) -> Result<Settings, Failure> {
    let settings = backup_config::load_for_api(config)?;
    logging::init(&settings.log, LOG_ENV);
    tls::install_provider();
    limits::raise_open_files();
    for queue in settings.unserved_queues() {
        tracing::warn!(queue, "no configured worker group serves this queue; its jobs will wait for ever");
    }
    Ok(settings)
}

fn check_config(config: &Path) -> Result<(), Failure> {
    let settings = backup_config::load_for_api(config)?;
    settings.core()?;
    backup_api::check_auth(&settings.auth).map_err(Failure::bad_configuration)?;
    backup_api::check_certificates(&settings.listen).map_err(Failure::bad_configuration)?;
    let mut out = std::io::stdout();
    for queue in settings.unserved_queues() {
        writeln!(out, "warning: no worker group serves {queue}; its jobs will wait for ever")
            .map_err(Failure::failed)?;
    }
    writeln!(out, "ok").map_err(Failure::failed)
}

async fn migrate(config: &Path) -> Result<(), Failure> {
    let settings = start_up(config)?;
    open_database(&settings).await.map(drop)
}

/// Waits for the database and brings its schema up to date.
async fn open_database(settings: &Settings) -> Result<Database, Failure> {
    let database = settings.database();
    match migrations::run_at_start(&database, settings.database.connect_timeout.get()).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "the database's schema was brought up to date"),
        Err(error @ Error::DatabaseUnavailable(_)) => return Err(Failure::unavailable(error)),
        Err(error) => return Err(Failure::failed(error)),
    }
    Ok(database)
}

fn openapi() -> Result<(), Failure> {
    let text = backup_api::openapi::text().map_err(Failure::failed)?;
    write!(std::io::stdout(), "{text}").map_err(Failure::failed)
}

fn hash_password() -> Result<(), Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(Failure::failed)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    if password.is_empty() {
        return Err(Failure::failed("standard input holds no password"));
    }
    let hash = backup_api::hash_password(&SecretString::from(password))
        .map_err(|error| Failure::failed(error.to_string()))?;
    writeln!(std::io::stdout(), "{hash}").map_err(Failure::failed)
}
