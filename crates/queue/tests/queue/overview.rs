//! Mirrors `src/overview`.

use std::time::Duration;

use backup_queue::heartbeat::{deregister, register};
use backup_queue::overview::{JobState, jobs, queues, unserved};
use backup_queue::settle::finish;
use backup_queue::{JobError, NewJob};
use serde_json::json;

use crate::support::*;

#[test]
fn the_overview_counts_each_state() {
    let database = Database::create();
    let conn = &mut database.connection();
    for text in ["failed", "running", "ready", "ready"] {
        add(conn, &letter(text));
    }
    add(conn, &letter("later").delay(Duration::from_secs(60)));
    add(conn, &NewJob::new("other", "letter", json!({})));
    let taken = take(conn, "tester", &["letters"], 2);
    finish(conn, &taken[0], Err(JobError::give_up("no")), &no_wait()).unwrap();
    let served = ["letters".to_owned()];
    register(conn, "tester", &served, 1, LEASE).unwrap();

    let found = queues(conn, &["other", "letters", "empty"]).unwrap();
    let line = |queue: &str| found.iter().find(|line| line.queue == queue).unwrap();
    assert_eq!(
        found.iter().map(|line| line.queue.as_str()).collect::<Vec<_>>(),
        ["other", "letters", "empty"]
    );
    let letters = line("letters");
    assert_eq!((letters.ready, letters.scheduled, letters.running, letters.failed), (2, 1, 1, 1));
    assert!(letters.oldest_ready_at.is_some());
    assert_eq!(letters.served_by, ["tester"]);
    assert_eq!((line("other").ready, line("other").served_by.len()), (1, 0));
    assert_eq!((line("empty").ready, line("empty").oldest_ready_at), (0, None));

    conn.advance(Duration::from_secs(86_401));
    assert_eq!(queues(conn, &["letters"]).unwrap()[0].failed, 0, "failures older than a day are not counted");
}

#[test]
fn the_overview_lists_jobs_of_a_state() {
    let database = Database::create();
    let conn = &mut database.connection();
    for text in ["failed", "running", "ready"] {
        add(conn, &letter(text));
    }
    add(conn, &letter("scheduled").delay(Duration::from_secs(60)));
    add(conn, &NewJob::new("other", "letter", json!({ "text": "ready" })));
    let taken = take(conn, "tester", &["letters"], 2);
    finish(conn, &taken[0], Err(JobError::give_up("no")), &no_wait()).unwrap();
    for word in ["ready", "scheduled", "running", "failed"] {
        let state = JobState::parse(word).unwrap();
        let found = jobs(conn, Some("letters"), state, 10).unwrap();
        assert_eq!(found.len(), 1, "{word}");
        assert_eq!(found[0].arguments["text"], word);
        assert_eq!(found[0].state, state);
        assert_eq!(found[0].lease_expires_at.is_some(), word == "running");
        assert_eq!(found[0].finished_at.is_some(), word == "failed");
        assert_eq!(found[0].last_error.as_deref(), (word == "failed").then_some("no"));
    }
    assert_eq!(jobs(conn, None, JobState::Ready, 10).unwrap().len(), 2);
    assert_eq!(jobs(conn, None, JobState::Ready, 1).unwrap().len(), 1);
    assert_eq!(JobState::parse("done"), None);
}

#[test]
fn a_queue_without_a_live_worker_is_unserved() {
    let database = Database::create();
    let conn = &mut database.connection();
    let (first, second) = (["a".to_owned(), "b".to_owned()], ["b".to_owned(), "c".to_owned()]);
    register(conn, "first", &first, 1, LEASE).unwrap();
    register(conn, "second", &second, 1, LEASE).unwrap();
    let known = ["d", "c", "b", "a"];
    assert_eq!(unserved(conn, &known).unwrap(), ["d"]);
    deregister(conn, "first").unwrap();
    assert_eq!(unserved(conn, &known).unwrap(), ["d", "a"]);
    conn.advance(Duration::from_secs(61));
    assert_eq!(unserved(conn, &known).unwrap(), known, "a worker that no longer reports is gone");
    register(conn, "second", &second, 1, LEASE).unwrap();
    assert_eq!(unserved(conn, &known).unwrap(), ["d", "a"]);
}
