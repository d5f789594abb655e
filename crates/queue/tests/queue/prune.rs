//! Mirrors `src/prune.rs`.

use std::time::Duration;

use backup_queue::Outcome;
use backup_queue::prune::{KEEP_FINISHED, prune};
use backup_queue::settle::finish;

use crate::support::*;

#[test]
fn old_finished_jobs_are_pruned_in_bounded_batches() {
    let database = Database::create();
    let conn = &mut database.connection();
    for _ in 0..5 {
        add(conn, &letter("old"));
    }
    let discarded = || Ok(Outcome::Discard("old".to_owned()));
    for job in take(conn, "tester", &["letters"], 5) {
        finish(conn, &job, discarded(), &no_wait()).unwrap();
    }
    conn.advance(KEEP_FINISHED - Duration::from_secs(60));
    assert_eq!(prune(conn, KEEP_FINISHED, 3).unwrap(), 0);
    conn.advance(Duration::from_secs(61));
    add(conn, &letter("new"));
    let new = take_letter(conn);
    finish(conn, &new, discarded(), &no_wait()).unwrap();
    let gone: Vec<usize> = (0..3).map(|_| prune(conn, KEEP_FINISHED, 3).unwrap()).collect();
    assert_eq!(gone, [6, 4, 0], "jobs and attempts, three of each at a time");
    assert_eq!(conn.number("select count(*) as value from finished_jobs"), 1);
    assert_eq!(conn.number("select count(*) as value from job_attempts"), 1);
}
