//! Mirrors `src/runner`: the runner at work on a Postgres that stays up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backup_queue::{Outcome, Registry, enqueue_many, rescue, step_aside};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A registry whose handler reports each text and is done.
pub fn reporting() -> (Registry, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut registry = Registry::new();
    registry.register("letter", move |job| {
        let sender = sender.clone();
        async move {
            sender.send(job.arguments["text"].as_str().unwrap().to_owned())?;
            Ok(Outcome::Done)
        }
    });
    (registry, receiver)
}

pub async fn next(receiver: &mut mpsc::UnboundedReceiver<String>) -> String {
    timeout(PATIENCE, receiver.recv()).await.expect("the job ran in time").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_job_wakes_an_idle_runner_long_before_it_polls() {
    let database = Database::create();
    let conn = &mut database.connection();
    let (registry, mut ran) = reporting();
    let runner = database.runner(registry, |config| config.poll_interval = Duration::from_secs(3600));
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    // It may still be starting when the first arrives; from then on it is idle.
    add(conn, &letter("first"));
    assert_eq!(next(&mut ran).await, "first");
    while conn.number("select count(*) as value from pg_stat_activity where datname = current_database() and query = 'listen queue_job_ready'") == 0 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    for number in 0..5 {
        add(conn, &letter(&number.to_string()));
        assert_eq!(next(&mut ran).await, number.to_string());
    }
    println!("enqueue to start: {:?}", started.elapsed() / 5);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_starts_when_it_is_due_long_before_the_next_poll() {
    let database = Database::create();
    let conn = &mut database.connection();
    let (registry, mut ran) = reporting();
    // Two turns of the upkeep are at least an eighth of this apart, and the job is due between the first and the next poll.
    let poll_interval = Duration::from_secs(16);
    let runner = database.runner(registry, |config| config.poll_interval = poll_interval);
    add(conn, &letter("later").delay(Duration::from_secs(3)));
    let (shutdown, started) = (CancellationToken::new(), Instant::now());
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    assert_eq!(next(&mut ran).await, "later");
    assert!(started.elapsed() < poll_interval);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_finds_what_no_notification_announced() {
    let database = Database::create();
    let conn = &mut database.connection();
    let (registry, mut ran) = reporting();
    let runner = database.runner(registry, |_| ());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    conn.batch_execute_all(
        "insert into jobs (queue, kind, arguments, max_attempts) values ('letters', 'letter', '{\"text\": \"silent\"}', 1)",
    );
    assert_eq!(next(&mut ran).await, "silent");
    add(conn, &letter("later").delay(Duration::from_millis(300)));
    assert_eq!(next(&mut ran).await, "later");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_jobs_run_at_a_time_than_there_are_slots() {
    let database = Database::create();
    let jobs: Vec<_> = (0..60).map(|number| letter(&number.to_string())).collect();
    enqueue_many(&mut database.connection(), &jobs).unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (sender, mut ran) = mpsc::unbounded_channel();
    let mut registry = Registry::new();
    let most_seen = Arc::clone(&most);
    registry.register("letter", move |_| {
        let (now, most, sender) = (Arc::clone(&now), Arc::clone(&most_seen), sender.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::SeqCst);
            sender.send("ran".to_owned())?;
            Ok(Outcome::Done)
        }
    });
    let runner = database.runner(registry, |config| config.concurrency = 3);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    for _ in 0..60 {
        next(&mut ran).await;
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    assert_eq!(
        database.connection().number("select count(*) as value from finished_jobs where outcome = 'done'"),
        60
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_outside_gives_its_place_to_another() {
    let database = Database::create();
    let conn = &mut database.connection();
    let answer = Arc::new(Semaphore::new(0));
    let (sender, mut ran) = mpsc::unbounded_channel();
    let mut registry = Registry::new();
    let outside = Arc::clone(&answer);
    registry.register("letter", move |job| {
        let (outside, sender) = (Arc::clone(&outside), sender.clone());
        async move {
            let text = job.arguments["text"].as_str().unwrap().to_owned();
            if text == "waits" {
                step_aside(Duration::from_millis(1), outside.acquire()).await?.forget();
            }
            sender.send(text)?;
            Ok(Outcome::Done)
        }
    });
    let runner = database.runner(registry, |config| config.concurrency = 1);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    add(conn, &letter("waits"));
    add(conn, &letter("does not wait"));
    assert_eq!(next(&mut ran).await, "does not wait");
    answer.add_permits(1);
    assert_eq!(next(&mut ran).await, "waits");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_keeps_its_lease_by_heartbeats() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("long"));
    let (gate, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let mut registry = Registry::new();
    let (started, released) = (Arc::clone(&gate), Arc::clone(&go_on));
    registry.register("letter", move |_| {
        let (started, released) = (Arc::clone(&started), Arc::clone(&released));
        async move {
            started.add_permits(1);
            released.acquire().await?.forget();
            Ok(Outcome::Done)
        }
    });
    let runner = database.runner(registry, |config| config.lease = Duration::from_millis(900));
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    gate.acquire().await.unwrap().forget();
    let expires = "select (extract(epoch from lease_expires_at) * 1000)::bigint as value from jobs";
    let claimed_until = conn.number(expires);
    while conn.number(expires) < claimed_until + 2000 {
        tokio::task::yield_now().await;
    }
    go_on.add_permits(1);
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(conn.text("select outcome as value from finished_jobs").unwrap(), "done");
    assert_eq!(conn.number("select attempt::bigint as value from finished_jobs"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_lease_was_lost_is_aborted_and_writes_nothing() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").max_attempts(1));
    let (started, dropped) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    struct Tell(Arc<Semaphore>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }
    let mut registry = Registry::new();
    let (start, drop_) = (Arc::clone(&started), Arc::clone(&dropped));
    registry.register("letter", move |_| {
        let (start, tell) = (Arc::clone(&start), Tell(Arc::clone(&drop_)));
        async move {
            start.add_permits(1);
            let _tell = tell;
            std::future::pending().await
        }
    });
    let runner = database.runner(registry, |config| config.lease = Duration::from_millis(600));
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    started.acquire().await.unwrap().forget();
    // Somebody else rescues it between two heartbeats.
    loop {
        conn.advance(Duration::from_secs(5));
        if rescue::rescue(conn, &no_wait(), LEASE, 10).unwrap().jobs == 1
            || conn.number("select count(*) as value from finished_jobs") == 1
        {
            break;
        }
    }
    timeout(PATIENCE, dropped.acquire()).await.expect("the handler was aborted").unwrap().forget();
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(conn.text("select outcome as value from finished_jobs").unwrap(), "failed");
    assert_eq!(conn.number("select count(*) as value from job_attempts"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_is_registered_while_it_runs() {
    let database = Database::create();
    let conn = &mut database.connection();
    let (registry, mut ran) = reporting();
    let runner = database.runner(registry, |_| ());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    add(conn, &letter("a"));
    next(&mut ran).await;
    while !backup_queue::overview::unserved(conn, &["letters"]).unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(backup_queue::overview::unserved(conn, &["letters"]).unwrap(), ["letters"]);
}
