//! Mirrors `src/bell` and `src/listen`: who is told of new jobs, and when.

use std::time::{Duration, Instant};

use backup_queue::{Bell, NewJob, enqueue, enqueue_many, run_now};
use diesel::prelude::*;
use diesel::result::Error as Refusal;
use serde_json::json;

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that listens.
struct Ear(PgConnection);

impl Ear {
    fn of(database: &Database) -> Self {
        let mut conn = database.connection();
        conn.batch_execute_all("listen queue_job_ready");
        Self(conn)
    }

    /// What was heard up to now.
    fn heard(&mut self) -> Vec<String> {
        // An answer from the server brings along what was sent before.
        self.0.batch_execute_all("select 1");
        self.0.notifications_iter().map(|notification| notification.unwrap().payload).collect()
    }

    /// The next that is heard.
    fn next(&mut self) -> Vec<String> {
        let started = Instant::now();
        loop {
            let heard = self.heard();
            if !heard.is_empty() {
                return heard;
            }
            assert!(started.elapsed() < PATIENCE, "nothing was heard");
        }
    }
}

fn parcel() -> NewJob {
    NewJob::new("parcels", "parcel", json!({}))
}

#[test]
fn a_bell_rings_after_the_commit_and_not_within_the_transaction() {
    let database = Database::create();
    let mut ear = Ear::of(&database);
    let conn = &mut database.connection();
    Bell::new(database.url()).attach(conn);
    conn.transaction(|conn| {
        add(conn, &letter("a"));
        conn.transaction(|conn| {
            add(conn, &parcel());
            Ok::<_, Refusal>(())
        })?;
        // A connection of its own rings, so what was rung too early would be heard.
        std::thread::sleep(Duration::from_millis(50));
        assert!(ear.heard().is_empty());
        Ok::<_, Refusal>(())
    })
    .unwrap();
    // The first transaction in a while speaks for itself, as far as it may.
    let mut heard = ear.next();
    while heard.len() < 2 {
        heard.extend(ear.next());
    }
    assert_eq!(heard, ["letters", "parcels"]);
}

#[test]
fn every_way_to_make_a_job_ready_rings() {
    let database = Database::create();
    let mut ear = Ear::of(&database);
    let conn = &mut database.connection();
    Bell::new(database.url()).attach(conn);
    // Without a transaction of the caller's, the statement is one.
    add(conn, &letter("a"));
    assert_eq!(ear.next(), ["letters"]);
    enqueue_many(conn, &[parcel(), letter("b")]).unwrap();
    assert_eq!(ear.next(), ["letters,parcels"]);
    add(conn, &letter("c").unique_key("c").delay(Duration::from_secs(3600)));
    assert!(run_now(conn, "c").unwrap());
    assert_eq!(ear.next(), [""], "the delayed job was no news; that it is to run now is");
}

#[test]
fn what_is_rolled_back_rings_no_bell() {
    let database = Database::create();
    let mut ear = Ear::of(&database);
    let conn = &mut database.connection();
    Bell::new(database.url()).attach(conn);
    let refused = conn.transaction(|conn| {
        add(conn, &parcel());
        Err::<(), _>(Refusal::RollbackTransaction)
    });
    assert!(refused.is_err());
    conn.transaction(|conn| {
        add(conn, &letter("a"));
        Ok::<_, Refusal>(())
    })
    .unwrap();
    assert_eq!(ear.next(), ["letters"]);
}

#[test]
fn a_transaction_without_a_bell_notifies_by_itself() {
    let database = Database::create();
    let mut ear = Ear::of(&database);
    let conn = &mut database.connection();
    conn.transaction(|conn| {
        enqueue(conn, &parcel()).unwrap();
        Ok::<_, Refusal>(())
    })
    .unwrap();
    assert_eq!(ear.heard(), ["parcels"]);
}

#[test]
fn a_bell_whose_connection_was_cut_rings_again() {
    let database = Database::create();
    let mut ear = Ear::of(&database);
    let conn = &mut database.connection();
    Bell::new(database.url()).attach(conn);
    add(conn, &letter("a"));
    ear.next();
    let cut = "select count(pg_terminate_backend(pid)) as value from pg_stat_activity
               where datname = current_database() and query ilike 'select pg_notify%' and pid <> pg_backend_pid()";
    assert_eq!(conn.number(cut), 1);
    add(conn, &letter("b"));
    assert_eq!(ear.next(), ["letters"]);
}

#[test]
fn a_storm_of_commits_is_a_breeze_of_notifications() {
    let database = Database::create();
    let mut ear = Ear::of(&database);
    let bell = Bell::new(database.url());
    for _ in 0..1000 {
        bell.ring(["letters"]);
    }
    bell.ring(["parcels"]);
    let mut heard = ear.next();
    while !heard.last().unwrap().contains("parcels") {
        heard.extend(ear.next());
    }
    assert!(heard.len() < 100, "{} notifications", heard.len());
}
