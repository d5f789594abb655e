//! Mirrors `src/runner/desk.rs`: jobs that were claimed ahead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_queue::{NewJob, Outcome, Registry, enqueue_many};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the single number a query answers with is this one.
async fn wait_for(conn: &mut diesel::PgConnection, sql: &str, number: i64) {
    let started = Instant::now();
    while conn.number(sql) != number {
        assert!(started.elapsed() < PATIENCE, "{sql}: {}", conn.number(sql));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_claimed_ahead_go_back_when_long_ones_hold_them_up() {
    let database = Database::create();
    let conn = &mut database.connection();
    let long = (0..2).map(|_| NewJob::new("letters", "long", json!({})).priority(2));
    let jobs: Vec<NewJob> = (0..200)
        .map(|_| letter("short").priority(1))
        .chain(long)
        .chain((0..30).map(|_| letter("behind").priority(3)))
        .collect();
    enqueue_many(conn, &jobs).unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let mut registry = Registry::new();
    registry.register("letter", |_| async { Ok(Outcome::Done) });
    let closed = Arc::clone(&gate);
    registry.register("long", move |_| {
        let gate = Arc::clone(&closed);
        async move {
            gate.acquire().await?.forget();
            Ok(Outcome::Done)
        }
    });
    let runner = database.runner(registry, |config| config.concurrency = 2);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    // They were claimed, and anybody may take them now, as if nothing had been.
    let handed_back = "select case when max(claim) > 0 then count(*) else -1 end as value
                       from jobs where state = 'ready' and attempt = 0";
    wait_for(conn, handed_back, 30).await;
    assert_eq!(take(conn, "other", &["letters"], 100).len(), 30);
    conn.batch_execute_all(
        "update jobs set lease_expires_at = now() - interval '1 s' where claimed_by = 'other';
         update job_claims set look_at = now() - interval '1 s'",
    );
    gate.add_permits(2);
    wait_for(conn, "select count(*) as value from finished_jobs where outcome = 'done'", 232).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_hands_back_what_was_claimed_ahead() {
    let database = Database::create();
    let conn = &mut database.connection();
    let jobs: Vec<NewJob> = (0..5000).map(|number| letter(&number.to_string())).collect();
    enqueue_many(conn, &jobs).unwrap();
    let mut registry = Registry::new();
    registry.register("letter", |_| async { Ok(Outcome::Done) });
    let runner = database.runner(registry, |_| ());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    while conn.number("select count(*) as value from finished_jobs") == 0 {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(conn.number("select count(*) as value from jobs where state = 'running' or attempt > 0"), 0);
    let over =
        conn.number("select count(*) as value from finished_jobs where outcome = 'done' and attempt = 1");
    assert_eq!(over + conn.number("select count(*) as value from jobs"), 5000);
}
