//! Mirrors `src/claim/places.rs`: going on where the last claim ended, and what that must not miss.

use std::time::{Duration, Instant};

use backup_queue::claim::{Claimer, Places, statement, statement_behind_place, statement_behind_places};
use backup_queue::settle::{Ruling, Verdict, settle};
use backup_queue::{ClaimedJob, enqueue_many};
use diesel::prelude::*;

use crate::support::*;

fn claim(conn: &mut PgConnection, places: &mut Places, limit: usize) -> Vec<ClaimedJob> {
    let queues = ["letters".to_owned()];
    places.claim(conn, &Claimer { worker: "tester", queues: &queues, lease: LEASE }, limit).unwrap().jobs
}

#[test]
fn a_claim_goes_on_where_the_last_one_ended() {
    let database = Database::create();
    let conn = &mut database.connection();
    let jobs: Vec<_> = (0..9).map(|number| letter(&number.to_string()).priority(number % 2)).collect();
    enqueue_many(conn, &jobs).unwrap();
    let mut places = Places::default();
    // Where a line ends, the first claim may bring fewer, and the next one looks from the start.
    let order: Vec<String> = (0..7)
        .flat_map(|_| claim(conn, &mut places, 2))
        .map(|job| job.arguments["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(order, ["0", "2", "4", "6", "8", "1", "3", "5", "7"]);
}

#[test]
fn what_comes_in_before_the_place_is_found_by_the_next_look_from_the_start() {
    let database = Database::create();
    let conn = &mut database.connection();
    let mut places = Places::default();
    let jobs: Vec<_> = (0..200).map(|number| letter(&number.to_string())).collect();
    enqueue_many(conn, &jobs).unwrap();
    let first = claim(conn, &mut places, 1).remove(0);
    // An older one, one of a new priority, and one that is put off and due again before the place.
    add(conn, &letter("urgent").priority(1));
    conn.batch_execute_all(
        "insert into jobs (queue, kind, arguments, max_attempts, run_at)
         values ('letters', 'letter', '{\"text\": \"older\"}', 1, now() - interval '1 hour')",
    );
    settle(conn, &[Verdict { lease: first.lease.clone(), ruling: Ruling::HandedBack }]).unwrap();
    // Neither a long line behind the place …
    let (started, mut found) = (Instant::now(), Vec::new());
    while found.len() < 3 {
        for job in claim(conn, &mut places, 1) {
            let text = job.arguments["text"].as_str().unwrap().to_owned();
            if ["urgent", "older", "0"].contains(&text.as_str()) {
                found.push(text);
            } else {
                settle(conn, &[Verdict { lease: job.lease, ruling: Ruling::Snoozed(LEASE) }]).unwrap();
                add(conn, &letter("another"));
            }
        }
        assert!(started.elapsed() < Duration::from_secs(60), "only {found:?} were found");
    }
    // … nor an empty one hides what is before it.
    add(conn, &letter("later").priority(3));
    while !claim(conn, &mut places, 100).iter().any(|job| job.arguments["text"] == "later") {
        assert!(places.due_in() <= Duration::from_secs(1));
        assert!(started.elapsed() < Duration::from_secs(120), "the last one was not found");
    }
}

/// How many blocks a claim touches.
fn blocks(conn: &mut PgConnection, types: &str, statement: &str, arguments: &str) -> u64 {
    conn.batch_execute_all(&format!("prepare claiming ({types}) as {statement}"));
    let plan = conn.lines(&format!(
        "explain (analyze, buffers, costs off, timing off, summary off) execute claiming{arguments}"
    ));
    conn.batch_execute_all("deallocate claiming");
    let of = |line: &str| line.split("hit=").nth(1)?.split_whitespace().next()?.parse().ok();
    plan.iter().find_map(|line| of(line)).unwrap()
}

#[test]
fn dead_rows_in_front_are_read_only_by_looks_from_the_start() {
    let database = Database::create();
    let conn = &mut database.connection();
    let mut holder = database.connection();
    // As long as this one sees the jobs as they are, nothing can be cleared away.
    holder.batch_execute_all("begin isolation level repeatable read; select 1");
    conn.batch_execute_all(
        "insert into jobs (queue, kind, max_attempts, run_at)
         select 'letters', 'letter', 1, now() - number * interval '1 ms' from generate_series(1, 20100) as number",
    );
    let mut places = Places::default();
    for _ in 0..20 {
        let jobs = claim(conn, &mut places, 1000);
        let verdicts: Vec<_> =
            jobs.into_iter().map(|job| Verdict { lease: job.lease, ruling: Ruling::Done }).collect();
        assert_eq!(settle(conn, &verdicts).unwrap().len(), 1000);
    }
    let last = "select max(run_at)::text as value from finished_jobs";
    let last = conn.text(last).unwrap();
    let types = "text, float8, text[]";
    let from_the_start = blocks(conn, types, &statement(1), "('tester', 60, '{letters}')");
    for behind in [statement_behind_place(1), statement_behind_places(1)] {
        let behind = blocks(
            conn,
            &format!("{types}, smallint[], timestamptz[], bigint[]"),
            &behind,
            &format!("('tester', 60, '{{letters}}', '{{100}}', '{{\"{last}\"}}', '{{0}}')"),
        );
        println!("blocks: {from_the_start} from the start, {behind} behind the place");
        assert!(behind * 3 < from_the_start, "{behind} of {from_the_start} blocks");
    }
}
