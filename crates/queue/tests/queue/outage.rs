//! The runner while Postgres goes away and comes back.

use std::time::Duration;

use backup_queue::{Outcome, Registry};
use private_postgres::Server;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::runner::{next, reporting};
use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn terminated_connections_need_no_restart() {
    let database = Database::create();
    let conn = &mut database.connection();
    let (registry, mut ran) = reporting();
    // Only a notification can bring the jobs in time, so the listener must come back as well.
    let runner = database.runner(registry, |config| config.poll_interval = Duration::from_secs(3600));
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    for round in 0..3 {
        add(conn, &letter(&format!("before {round}")));
        assert_eq!(next(&mut ran).await, format!("before {round}"));
        let ended = conn.number(
            "select count(pg_terminate_backend(pid)) as value from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        );
        assert!(ended > 0);
        add(conn, &letter(&format!("after {round}")));
        assert_eq!(next(&mut ran).await, format!("after {round}"));
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(conn.number("select count(*) as value from finished_jobs where outcome = 'done'"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_postgres_is_away_is_done_when_it_returns() {
    let mut server = Server::start().unwrap();
    let database = Database::create_on(&server);
    add(&mut database.connection(), &letter("a").max_attempts(1));
    let (started, mut starts) = mpsc::unbounded_channel();
    let (end, _) = tokio::sync::broadcast::channel::<()>(1);
    let mut registry = Registry::new();
    let ends = end.clone();
    registry.register("letter", move |_| {
        let (started, mut end) = (started.clone(), ends.subscribe());
        async move {
            started.send("started".to_owned())?;
            end.recv().await?;
            Ok(Outcome::Done)
        }
    });
    // The outage lasts longer than the lease; the runner must not rescue its own job on the return of Postgres.
    let runner = database.runner(registry, |config| config.lease = Duration::from_secs(1));
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    next(&mut starts).await;
    server.stop().unwrap();
    end.send(()).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    server.resume().unwrap();
    let conn = &mut database.connection();
    while conn.number("select count(*) as value from jobs") > 0 {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    let end = conn.text("select concat_ws(' ', outcome, last_error) as value from finished_jobs");
    assert_eq!(end.unwrap(), "done");
    assert_eq!(conn.number("select attempt::bigint as value from finished_jobs"), 1);
}
