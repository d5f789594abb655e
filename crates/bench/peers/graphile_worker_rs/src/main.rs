//! graphile_worker, the Rust queue on the tables of graphile-worker. With many jobs it has its local queue and completions in
//! batches, as its guides describe them, at the sizes of its model; with rare ones the direct fetch that its guide advises for them.
//! Told what to do as ../../README.md says.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, Worker, WorkerContext, WorkerOptions,
};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

static RAN: AtomicU64 = AtomicU64::new(0);
static EXPECTED: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Deserialize, Serialize)]
struct Empty {}

impl TaskHandler for Empty {
    const IDENTIFIER: &'static str = "empty";

    async fn run(self, _context: WorkerContext) -> impl IntoTaskHandlerResult {
        let (ran, expected) = (RAN.fetch_add(1, Ordering::Relaxed) + 1, EXPECTED.load(Ordering::Relaxed));
        match (expected, ran) {
            (0, _) => say(&now().to_string()),
            (_, 1) => say(&format!("first {}", now())),
            _ => {}
        }
        if ran == expected {
            say(&format!("all {}", now()));
        }
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments[0].as_str() {
        "version" => say("0.14.1"),
        "migrate" => {
            worker().await?;
            say("ready");
        }
        "work" => {
            EXPECTED.store(arguments[1].parse()?, Ordering::Relaxed);
            // With the local queue, this version asks without pause while there is nothing to do.
            let options = if EXPECTED.load(Ordering::Relaxed) == 0 { options()? } else { for_many(options()?) };
            let worker = options.init().await?;
            say("ready");
            tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                ended = worker.run() => ended?,
                _ = terminate.recv() => {}
            }
        }
        _ => enqueue().await?,
    }
    Ok(())
}

async fn worker() -> Result<Worker, Box<dyn Error>> {
    Ok(options()?.init().await?)
}

fn options() -> Result<WorkerOptions, Box<dyn Error>> {
    let options = WorkerOptions::default()
        .database_url(&std::env::var("DATABASE_URL")?)
        .max_pg_conn(25)
        .concurrency(24)
        .define_job::<Empty>();
    Ok(options)
}

fn for_many(options: WorkerOptions) -> WorkerOptions {
    options
        .local_queue(LocalQueueConfig::default().with_size(500))
        .complete_job_batch_delay(Duration::from_millis(1))
        .fail_job_batch_delay(Duration::from_millis(1))
}

async fn enqueue() -> Result<(), Box<dyn Error>> {
    let utils = worker().await?.create_utils();
    let spec = JobSpec::default();
    say("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (before, after) = match line.split_once(' ') {
            Some((_, count)) => {
                let jobs = vec![(Empty {}, &spec); count.parse()?];
                let before = now();
                utils.add_jobs::<Empty>(&jobs).await?;
                (before, now())
            }
            None => {
                let before = now();
                utils.add_job(Empty {}, JobSpec::default()).await?;
                (before, now())
            }
        };
        say(&format!("{before} {after}"));
    }
    Ok(())
}

fn now() -> u128 {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("there is a clock")).as_nanos()
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the harness listens");
}
