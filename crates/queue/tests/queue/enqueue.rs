//! Mirrors `src/enqueue.rs` and `src/promote.rs`.

use std::time::Duration;

use backup_queue::promote::promote;
use backup_queue::{Backoff, Enqueued, Error, JobError, Outcome, enqueue, enqueue_many, run_now, settle};
use diesel::Connection;

use crate::support::*;

#[test]
fn a_job_appears_only_when_the_caller_commits() {
    let database = Database::create();
    let (mut writer, mut reader) = (database.connection(), database.connection());
    let rolled_back = writer.transaction::<(), Error, _>(|conn| {
        enqueue(conn, &letter("a"))?;
        assert!(take(&mut reader, "other", &["letters"], 1).is_empty());
        Err(diesel::result::Error::RollbackTransaction.into())
    });
    assert!(rolled_back.is_err());
    assert!(take(&mut reader, "other", &["letters"], 1).is_empty());
    add(&mut writer, &letter("b"));
    assert_eq!(texts(&take(&mut reader, "other", &["letters"], 1)), ["b"]);
}

#[test]
fn a_unique_key_admits_one_unfinished_job() {
    let database = Database::create();
    let conn = &mut database.connection();
    let job = letter("a").unique_key("one");
    let first = add(conn, &job);
    assert_eq!(enqueue(conn, &job).unwrap(), Enqueued::Existing(first));
    let claimed = take_letter(conn);
    assert_eq!(enqueue(conn, &job).unwrap(), Enqueued::Existing(first), "a running job counts");
    settle::finish(conn, &claimed, Ok(Outcome::Done), &no_wait()).unwrap();
    assert!(matches!(enqueue(conn, &job).unwrap(), Enqueued::New(id) if id != first));
}

#[test]
fn concurrent_enqueues_of_one_key_make_one_job() {
    let database = Database::create();
    let made: Vec<Enqueued> = std::thread::scope(|scope| {
        let enqueuers: Vec<_> = (0..4)
            .map(|_| {
                let mut conn = database.connection();
                scope.spawn(move || enqueue(&mut conn, &letter("a").unique_key("one")).unwrap())
            })
            .collect();
        enqueuers.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|one| matches!(one, Enqueued::New(_))).count(), 1);
    assert!(made.iter().all(|one| one.id() == made[0].id()));
}

#[test]
fn many_jobs_go_in_with_one_statement() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("taken").unique_key("7"));
    let jobs: Vec<_> = (0..1000).map(|number| letter("x").unique_key(number.to_string())).collect();
    assert_eq!(enqueue_many(conn, &jobs).unwrap(), 999);
    assert_eq!(enqueue_many(conn, &jobs).unwrap(), 0);
    assert_eq!(enqueue_many(conn, &[]).unwrap(), 0);
    let twice =
        [letter("y").unique_key("twice"), letter("z").unique_key("twice"), letter("free"), letter("free")];
    assert_eq!(enqueue_many(conn, &twice).unwrap(), 3, "a key repeated within one call goes in once");
    assert_eq!(conn.number("select count(*) as value from jobs"), 1003);
}

#[test]
fn bulk_enqueues_in_opposite_orders_do_not_deadlock() {
    let database = Database::create();
    let jobs: Vec<_> = (0..2000).map(|number| letter("x").unique_key(format!("{number:05}"))).collect();
    let reversed: Vec<_> = jobs.iter().rev().cloned().collect();
    let added: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = [&jobs, &reversed, &jobs, &reversed]
            .into_iter()
            .map(|jobs| {
                let mut conn = database.connection();
                scope.spawn(move || enqueue_many(&mut conn, jobs).unwrap())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(added, 2000);
}

#[test]
fn a_delayed_job_waits_for_its_time() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("later").delay(Duration::from_secs(60)));
    assert_eq!(promote(conn, 10).unwrap(), 0);
    assert!(take(conn, "tester", &["letters"], 1).is_empty());
    conn.advance(Duration::from_secs(61));
    assert_eq!(promote(conn, 10).unwrap(), 1);
    assert_eq!(texts(&[take_letter(conn)]), ["later"]);
}

#[test]
fn scheduled_jobs_become_ready_in_bounded_batches() {
    let database = Database::create();
    let conn = &mut database.connection();
    let jobs: Vec<_> = (0..25).map(|_| letter("x").delay(Duration::from_secs(5))).collect();
    enqueue_many(conn, &jobs).unwrap();
    conn.advance(Duration::from_secs(6));
    let moved: Vec<usize> = (0..4).map(|_| promote(conn, 10).unwrap()).collect();
    assert_eq!(moved, [10, 10, 5, 0]);
}

#[test]
fn run_now_makes_a_waiting_job_due() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("later").delay(Duration::from_secs(3600)).unique_key("one"));
    assert!(!run_now(conn, "another").unwrap());
    assert!(run_now(conn, "one").unwrap());
    assert_eq!(texts(&[take_letter(conn)]), ["later"]);
}

#[test]
fn a_running_job_that_is_woken_runs_again_at_once() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("busy").unique_key("one"));
    let hour = || Duration::from_secs(3600);
    let job = take_letter(conn);
    assert!(run_now(conn, "one").unwrap());
    settle::finish(conn, &job, Ok(Outcome::Snooze(hour())), &no_wait()).unwrap();
    let job = take_letter(conn);
    assert_eq!(job.attempt, 1);
    let slow = Backoff { first: hour(), cap: hour(), factor: 2 };
    assert!(run_now(conn, "one").unwrap());
    settle::finish(conn, &job, Err(JobError::retry("no")), &slow).unwrap();
    let job = take_letter(conn);
    assert_eq!(job.attempt, 2, "a failed attempt still counts");
    settle::finish(conn, &job, Ok(Outcome::Snooze(hour())), &no_wait()).unwrap();
    assert_eq!(conn.number("select count(*) as value from jobs where state = 'scheduled'"), 1, "woken once");
}

#[test]
fn a_wake_up_that_commits_while_the_end_of_a_run_is_written_is_not_missed() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("busy").unique_key("one"));
    let job = take_letter(conn);
    let mut other = database.connection();
    let ending = conn
        .transaction(|conn| {
            assert!(run_now(conn, "one")?);
            let ending = std::thread::spawn(move || {
                let answer = Ok(Outcome::Snooze(Duration::from_secs(3600)));
                settle::finish(&mut other, &job, answer, &no_wait())
            });
            let waiting = "select count(*) as value from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock'";
            let mut look = database.connection();
            while look.number(waiting) == 0 {
                std::thread::yield_now();
            }
            Ok::<_, Error>(ending)
        })
        .unwrap();
    ending.join().unwrap().unwrap();
    assert_eq!(take_letter(conn).attempt, 1);
}

#[test]
fn a_delay_without_end_does_not_overflow() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("never").delay(Duration::MAX));
    assert_eq!(promote(conn, 10).unwrap(), 0);
}
