//! apalis with its Postgres storage as its examples set it up for many jobs: batches of 100, tasks in parallel, woken by
//! notifications, with a poll besides. Told what to do as ../../README.md says.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apalis::layers::WorkerBuilderExt;
use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

#[derive(Serialize, Deserialize, Debug, Clone, Default)]
struct Empty {}

/// How many jobs have begun, and how many are expected.
#[derive(Clone)]
struct Counter {
    ran: Arc<AtomicU64>,
    expected: u64,
}

async fn empty(_job: Empty, counter: Data<Counter>) -> Result<(), BoxDynError> {
    let ran = counter.ran.fetch_add(1, Ordering::Relaxed) + 1;
    match (counter.expected, ran) {
        (0, _) => say(&now().to_string()),
        (_, 1) => say(&format!("first {}", now())),
        _ => {}
    }
    if ran == counter.expected {
        say(&format!("all {}", now()));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments[0] == "version" {
        say("apalis 1.0.0, apalis-postgres 1.0.0");
        return Ok(());
    }
    let pool = PgPoolOptions::new().max_connections(10).connect(&std::env::var("DATABASE_URL")?).await?;
    let config = Config::default().queue("bench").batch_size(100);
    let mut storage = PostgresStorage::<Empty>::new(&pool).with_config(config);
    match arguments[0].as_str() {
        "migrate" => {
            PostgresStorage::setup(&pool).await?;
            say("ready");
        }
        "work" => {
            say("ready");
            let counter = Counter { ran: Arc::default(), expected: arguments[1].parse()? };
            tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
            let worker = WorkerBuilder::new(format!("bench-{}", std::process::id()))
                .backend(storage.with_pubsub().poll_with_interval(Duration::from_millis(100)))
                .data(counter)
                .concurrency(100)
                .parallelize(tokio::spawn)
                .build(empty);
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                ended = worker.run() => ended?,
                _ = terminate.recv() => {}
            }
        }
        _ => {
            say("ready");
            for line in std::io::stdin().lock().lines() {
                let line = line?;
                let (before, after) = match line.split_once(' ') {
                    Some((_, count)) => {
                        let jobs = vec![Empty {}; count.parse()?];
                        let before = now();
                        storage.push_bulk(jobs).await?;
                        (before, now())
                    }
                    None => {
                        let before = now();
                        storage.push(Empty {}).await?;
                        (before, now())
                    }
                };
                say(&format!("{before} {after}"));
            }
        }
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
