//! Mirrors `src/claim.rs`.

use std::collections::HashSet;
use std::time::Duration;

use backup_queue::{NewJob, enqueue_many};
use serde_json::json;

use crate::support::*;

fn in_queue(queue: &str, text: &str) -> NewJob {
    NewJob::new(queue, "letter", json!({ "text": text }))
}

#[test]
fn jobs_are_claimed_by_priority_then_by_time() {
    let database = Database::create();
    let conn = &mut database.connection();
    for (text, priority) in [("late", 100), ("later", 100), ("urgent", 1), ("idle", 200)] {
        add(conn, &letter(text).priority(priority));
    }
    add(conn, &letter("early"));
    conn.batch_execute_all(
        "update jobs set run_at = run_at - interval '1 hour' where arguments->>'text' = 'early'",
    );
    let claimed = take(conn, "tester", &["letters"], 10);
    assert_eq!(texts(&claimed), ["urgent", "early", "late", "later", "idle"]);
}

#[test]
fn a_limited_claim_takes_the_best_of_all_its_queues() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &in_queue("a", "second").priority(20));
    add(conn, &in_queue("a", "third").priority(30));
    add(conn, &in_queue("b", "first").priority(10));
    add(conn, &in_queue("c", "foreign").priority(1));
    assert_eq!(texts(&take(conn, "tester", &["a", "b"], 2)), ["first", "second"]);
    assert_eq!(texts(&take(conn, "tester", &["a", "b", "empty"], 2)), ["third"]);
    assert_eq!(texts(&take(conn, "tester", &["c"], 2)), ["foreign"]);
    assert!(take(conn, "tester", &[], 2).is_empty());
}

#[test]
fn a_claim_passes_over_rows_that_others_are_taking() {
    let database = Database::create();
    let (mut first, mut second) = (database.connection(), database.connection());
    for text in ["a", "b", "c"] {
        add(&mut first, &letter(text));
    }
    diesel::connection::SimpleConnection::batch_execute(&mut first, "begin").unwrap();
    assert_eq!(texts(&take(&mut first, "one", &["letters"], 2)), ["a", "b"]);
    assert_eq!(
        texts(&take(&mut second, "two", &["letters"], 2)),
        ["c"],
        "it neither waits nor takes a locked one"
    );
    first.batch_execute_all("rollback");
    assert_eq!(texts(&take(&mut second, "two", &["letters"], 2)), ["a", "b"]);
}

#[test]
fn two_claimers_never_share_a_job() {
    let database = Database::create();
    let jobs: Vec<_> = (0..600).map(|number| in_queue(["a", "b"][number % 2], &number.to_string())).collect();
    enqueue_many(&mut database.connection(), &jobs).unwrap();
    let claimed: Vec<i64> = std::thread::scope(|scope| {
        let claimers: Vec<_> = (0..4)
            .map(|number| {
                let mut conn = database.connection();
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    loop {
                        let jobs = take(&mut conn, &format!("worker {number}"), &["a", "b"], 1 + number);
                        if jobs.is_empty()
                            && conn.number("select count(*) as value from jobs where state = 'ready'") == 0
                        {
                            return mine;
                        }
                        mine.extend(jobs.iter().map(|job| job.id.0));
                    }
                })
            })
            .collect();
        claimers.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(claimed.len(), 600);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 600);
}

#[test]
fn a_claim_says_who_holds_the_job_and_until_when() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").max_attempts(3));
    let job = take_letter(conn);
    assert_eq!((job.attempt, job.max_attempts, job.kind.as_str()), (1, 3, "letter"));
    assert_eq!(conn.text("select claimed_by as value from jobs").unwrap(), "tester");
    let left = conn.number("select extract(epoch from lease_expires_at - now())::bigint as value from jobs");
    assert!((55..=60).contains(&left), "{left}");
    conn.advance(Duration::from_secs(1));
    assert!(take(conn, "other", &["letters"], 1).is_empty());
}
