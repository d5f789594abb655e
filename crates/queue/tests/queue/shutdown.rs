//! The runner's end.

use std::time::Duration;

use backup_queue::{Outcome, Registry};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::runner::next;
use crate::support::*;

/// Shuts a runner with one slot down while it runs the first of two jobs, which takes this long; returns the database.
async fn shut_down_during_a_job(work: Duration, shutdown_timeout: Duration) -> Database {
    let database = Database::create();
    add(&mut database.connection(), &letter("a"));
    add(&mut database.connection(), &letter("next").priority(200));
    let (started, mut starts) = mpsc::unbounded_channel();
    let mut registry = Registry::new();
    registry.register("letter", move |_| {
        let started = started.clone();
        async move {
            started.send("started".to_owned())?;
            tokio::time::sleep(work).await;
            Ok(Outcome::Done)
        }
    });
    let runner = database.runner(registry, |config| {
        config.concurrency = 1;
        config.shutdown_timeout = shutdown_timeout;
    });
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    next(&mut starts).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(starts.try_recv().is_err(), "no job is started after the shutdown was asked for");
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_running_jobs_end() {
    let database = shut_down_during_a_job(Duration::from_millis(300), Duration::from_secs(20)).await;
    let conn = &mut database.connection();
    assert_eq!(conn.text("select outcome as value from finished_jobs").unwrap(), "done");
    assert_eq!(conn.number("select count(*) as value from jobs where state = 'running'"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_hands_back_what_did_not_end_in_time() {
    let database = shut_down_during_a_job(Duration::from_secs(3600), Duration::from_millis(50)).await;
    let conn = &mut database.connection();
    let job = "select concat_ws(' ', state, attempt, claim) as value from jobs where priority = 100";
    assert_eq!(conn.text(job).unwrap(), "ready 0 1");
    assert_eq!(conn.number("select count(*) as value from job_attempts"), 0);
    assert_eq!(take_letter(conn).attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_runner_stops_at_once() {
    let database = Database::create();
    let runner = database.runner(Registry::new(), |config| config.poll_interval = Duration::from_secs(3600));
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), runner.run(shutdown)).await.expect("it stopped").unwrap();
}
