//! Measures the queue on a private, durable Postgres: enqueue, claim and finish of empty jobs through the runner, then
//! the time from a commit to the handler. `cargo run --release -p backup-queue --example throughput [jobs] [slots]`
//! Not a test; the figures in `docs/queue.md` come from here.
#![allow(clippy::print_stdout, reason = "it is a measurement for people")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use backup_queue::{Bell, NewJob, Outcome, Registry, Runner, RunnerConfig, enqueue, enqueue_many};
use diesel::Connection;
use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use private_postgres::{Options, Server};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const TABLES: &str = include_str!("../../../migrations/2026-11-22-000001_queue/up.sql");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let jobs: usize = arguments.next().map_or(Ok(50_000), |text| text.parse())?;
    let slots: usize = arguments.next().map_or(Ok(100), |text| text.parse())?;

    let server = Server::start_with(Options::default().durable())?;
    server.create_database("queue")?;
    let url = server.url("queue");
    let mut conn = PgConnection::establish(&url)?;
    conn.batch_execute(TABLES)?;
    Bell::new(url.as_str()).attach(&mut conn);

    let started = Instant::now();
    let batch: Vec<NewJob> =
        (0..jobs).map(|number| NewJob::new("work", "empty", json!({ "number": number }))).collect();
    enqueue_many(&mut conn, &batch)?;
    println!("enqueued {jobs} jobs in one call: {:.0} per second", rate(jobs, started));

    let (left, (sender, mut all_ran)) = (Arc::new(AtomicUsize::new(jobs)), mpsc::unbounded_channel());
    let mut registry = Registry::new();
    registry.register("empty", move |_| {
        let (left, sender) = (Arc::clone(&left), sender.clone());
        async move {
            if left.fetch_sub(1, Ordering::Relaxed) <= 1 {
                sender.send(Instant::now())?;
                left.store(1, Ordering::Relaxed);
            }
            Ok(Outcome::Done)
        }
    });
    let mut config = RunnerConfig::new("bench", ["work"]);
    config.concurrency = slots;
    let pool = Pool::builder().max_size(4).build(ConnectionManager::new(&url))?;
    let runner = Runner::new(pool, url.clone(), registry, config);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let started = Instant::now();
    let running = tokio::spawn(async move { runner.run(stop).await });
    all_ran.recv().await.context("the runner ended early")?;
    println!("claimed, ran and finished them in {slots} slots: {:.0} per second", rate(jobs, started));

    let mut waits = Vec::new();
    for number in 0..200 {
        tokio::time::sleep(Duration::from_millis(10 + number % 17)).await;
        enqueue(&mut conn, &NewJob::new("work", "empty", json!({})))?;
        let committed = Instant::now();
        let ran = all_ran.recv().await.context("the runner ended early")?;
        waits.push(ran.saturating_duration_since(committed));
    }
    waits.sort();
    println!("from commit to handler: median {:?}, 95 % {:?}", waits.get(100), waits.get(190));
    shutdown.cancel();
    running.await??;
    Ok(())
}

fn rate(jobs: usize, started: Instant) -> f64 {
    f64::from(u32::try_from(jobs).unwrap_or(u32::MAX)) / started.elapsed().as_secs_f64()
}
