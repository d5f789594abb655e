//! `backup-manager-worker`: carries out what the API recorded.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use backup_config::{LOG_ENV, Settings, WorkerGroup};
use backup_core::store::{lost, migrations};
use backup_core::{Error, Manager};
use backup_daemon::config::{ConfigError, Mistake};
use backup_daemon::exit::{Failure, run_main};
use backup_daemon::{limits, logging, shutdown, systemd, tls};
use backup_worker::{GroupSettings, declare, runner, sweep_until};
use clap::Parser;
use tokio::task::JoinSet;

/// How often lost operations are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How long the database may be silent on connections that stand while it answers on new ones.
const SILENCE: Duration = Duration::from_secs(30);
const LOST: &str = "the connections to the database hang, and new ones do not: it must be another server now";

/// The worker daemon of the a9s Backup Manager.
///
/// Claims jobs from the queues of one worker group and carries them out. Start one process per group of the
/// configuration (`--group`), or one process for all groups on a small installation (no option).
///
/// SIGTERM: claims nothing more, lets running jobs end within `jobs.shutdown_timeout`, hands the rest back, exits.
///
/// Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage, 69 the database was not reachable at the start,
/// 78 bad configuration.
#[derive(Parser)]
#[command(name = "backup-manager-worker", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, env = "BACKUP_MANAGER_CONFIG", default_value = "/etc/a9s-backup-manager/backup-manager.yml")]
    config: PathBuf,
    /// Run this entry of `workers`, counted from 1.
    #[arg(long, value_name = "N", conflicts_with = "queues")]
    group: Option<usize>,
    /// Run a group of these queues instead of a configured one, for example "backup_all_job, backup_watcher_job".
    #[arg(long, value_name = "NAMES")]
    queues: Option<String>,
    /// How many workers share those queues.
    #[arg(long, value_name = "N", requires = "queues", default_value_t = 1)]
    count: i64,
}

fn main() -> ExitCode {
    run_main("backup-manager-worker", run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let settings = backup_config::load(&arguments.config)?;
    logging::init(&settings.log, LOG_ENV);
    tls::install_provider();
    limits::raise_open_files();
    let groups = chosen_groups(&arguments, &settings)?;
    let unserved = settings.unserved_queues();
    if !unserved.is_empty() {
        tracing::error!("no worker group of the configuration serves these queues: {}", unserved.join(", "));
    }
    let stop = shutdown::token().map_err(Failure::failed)?;
    let manager = Manager::new(settings.database(), settings.core()?);
    tokio::select! {
        begun = begin(&manager, &settings) => begun.map_err(at_start)?,
        () = stop.cancelled() => return Ok(()),
    }

    let mut runners = JoinSet::new();
    for (number, group) in groups {
        let group = GroupSettings::new(number, group);
        tracing::info!(
            worker = group.name,
            count = group.group.count,
            queues = group.group.queues.join(", "),
            "working"
        );
        let (runner, stop) = (runner(&manager, &settings, group), stop.clone());
        runners.spawn(async move { runner.run(stop).await });
    }
    let database = manager.database.clone();
    let sweep = tokio::spawn(sweep_until(manager, SWEEP_INTERVAL, stop.clone()));
    systemd::watchdog(stop.clone());
    systemd::ready();
    tokio::select! {
        () = stop.cancelled() => {}
        // A runner ends only when told to; systemd starts the process again.
        Some(ended) = runners.join_next() => {
            ended.map_err(Failure::failed)?.map_err(Failure::failed)?;
            return Err(Failure::failed("a worker ended by itself"));
        }
        // What it was doing goes on elsewhere when its leases expire, as after any end.
        () = lost(&database, SILENCE) => return Err(Failure::failed(LOST)),
    }
    systemd::stopping();
    while let Some(ended) = runners.join_next().await {
        ended.map_err(Failure::failed)?.map_err(Failure::failed)?;
    }
    sweep.await.map_err(Failure::failed)?;
    tracing::info!("stopped");
    Ok(())
}

/// Brings the schema up to date and declares the schedules; a database that goes away in between is waited for as one
/// that was not there from the start.
async fn begin(manager: &Manager, settings: &Settings) -> Result<(), Error> {
    let (since, patience) = (Instant::now(), settings.database.connect_timeout.get());
    loop {
        migrations::run_at_start(&manager.database, patience.saturating_sub(since.elapsed())).await?;
        match declare(manager, settings).await {
            Err(Error::DatabaseUnavailable(why)) if since.elapsed() < patience => {
                tracing::warn!("waiting for the database: {why}");
            }
            declared => return declared,
        }
    }
}

/// The groups this process runs, with their numbers.
fn chosen_groups(arguments: &Arguments, settings: &Settings) -> Result<Vec<(usize, WorkerGroup)>, Failure> {
    let wrong = |option: &str, found: String, allowed: String| {
        ConfigError::new("command line", vec![Mistake::new(option, found, allowed)])
    };
    if let Some(queues) = &arguments.queues {
        let group = WorkerGroup::parse(Some(queues), arguments.count)
            .map_err(|error| wrong("--queues", error.found, error.allowed))?;
        return Ok(vec![(0, group)]);
    }
    let groups: Vec<_> = (1..).zip(settings.worker_groups()).collect();
    match arguments.group {
        None => Ok(groups),
        Some(number) => {
            let (found, allowed) =
                (number.to_string(), format!("1 to {}, the entries of workers", groups.len()));
            match groups.into_iter().find(|(candidate, _)| *candidate == number) {
                Some(group) => Ok(vec![group]),
                None => Err(wrong("--group", found, allowed).into()),
            }
        }
    }
}

fn at_start(error: Error) -> Failure {
    match error {
        Error::DatabaseUnavailable(_) => Failure::unavailable(error),
        other => Failure::failed(other),
    }
}
