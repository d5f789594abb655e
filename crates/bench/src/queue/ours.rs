//! Our own queue behind the contract of `crates/bench/peers/README.md`: a process with the runner as the worker daemon
//! sets it up, but for a registry with one empty job.

use std::io::{BufRead, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use backup_core::store::{Database, connection_string};
use backup_queue::{Backoff, NewJob, Outcome, Registry, Runner, RunnerConfig, enqueue, enqueue_many};
use clap::Subcommand;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::clock::nanoseconds;

/// The tables of the queue, as the product makes them.
const TABLES: &str = include_str!("../../../../migrations/2026-11-22-000001_queue/up.sql");
const QUEUE: &str = "bench";
const KIND: &str = "empty";

/// Jobs at a time in one process.
const CONCURRENCY: usize = 100;
// The defaults of `jobs.lease`, `jobs.poll_interval`, `jobs.shutdown_timeout` and `database.pool_size`.
const LEASE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_secs(2);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
const POOL_SIZE: u32 = 10;
/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the process is to do; `DATABASE_URL` says where.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Role {
    /// Makes the tables
    Migrate,
    /// Works, and tells when the first and the last of so many jobs began; 0: when each began
    Work {
        /// How many jobs there are
        jobs: u64,
    },
    /// Enqueues what the lines of standard input ask for
    Enqueue,
}

/// Plays the role.
///
/// # Errors
/// When the database does not answer.
pub(crate) fn run(role: &Role) -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    match role {
        Role::Migrate => {
            PgConnection::establish(&url)?.batch_execute(TABLES)?;
            say("ready")
        }
        Role::Work { jobs } => tokio::runtime::Runtime::new()?.block_on(work(&url, *jobs)),
        Role::Enqueue => answer(&url),
    }
}

async fn work(url: &str, jobs: u64) -> anyhow::Result<()> {
    let database = database(url);
    let config = RunnerConfig {
        name: format!("bench/{}", std::process::id()),
        queues: vec![QUEUE.to_owned()],
        concurrency: CONCURRENCY,
        lease: LEASE,
        poll_interval: POLL_INTERVAL,
        shutdown_timeout: SHUTDOWN_TIMEOUT,
        backoff: Backoff::default(),
    };
    let mut runner = Runner::new(database.pool().clone(), connection_string(url), registry(jobs), config);
    if let Some(bell) = database.bell() {
        runner = runner.bell(bell.clone());
    }
    say("ready")?;
    tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        terminate.recv().await;
        stop.cancel();
    });
    Ok(runner.run(shutdown).await?)
}

/// The connections of a daemon.
fn database(url: &str) -> Database {
    Database::new(url, POOL_SIZE, PATIENCE)
}

/// One kind of job, which does nothing but be counted.
fn registry(expected: u64) -> Registry {
    let ran = Arc::new(AtomicU64::new(0));
    let mut registry = Registry::new();
    registry.register(KIND, move |_| {
        let ran = ran.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        async move {
            // An error would be a failed job, which the harness waits for in vain, and says so.
            let tell = |word: &str| -> Result<(), std::io::Error> {
                let now = nanoseconds().map_err(std::io::Error::other)?;
                say(&format!("{word}{now}")).map_err(std::io::Error::other)
            };
            match ran {
                _ if expected == 0 => tell("")?,
                1 => tell("first ")?,
                _ => {}
            }
            if ran == expected {
                tell("all ")?;
            }
            Ok(Outcome::Done)
        }
    });
    registry
}

fn answer(url: &str) -> anyhow::Result<()> {
    let mut conn = database(url).pool().get()?;
    let job = || NewJob::new(QUEUE, KIND, json!({}));
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (before, after) = match line.split_once(' ') {
            Some((_, count)) => {
                let jobs: Vec<NewJob> = std::iter::repeat_with(job).take(usize::from_str(count)?).collect();
                let before = nanoseconds()?;
                enqueue_many(&mut conn, &jobs)?;
                (before, nanoseconds()?)
            }
            None => {
                let job = job();
                let before = nanoseconds()?;
                // With what made the job necessary, as the API does.
                conn.transaction(|conn| enqueue(conn, &job).map(drop))?;
                (before, nanoseconds()?)
            }
        };
        say(&format!("{before} {after}"))?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
