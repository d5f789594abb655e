//! Mirrors `src/lease.rs`, `src/settle.rs`, `src/heartbeat.rs` and `src/rescue.rs`.

use std::time::Duration;

use backup_queue::heartbeat::extend;
use backup_queue::rescue::{Rescued, rescue};
use backup_queue::settle::{Ruling, Verdict, finish, settle};
use backup_queue::{Backoff, Error, Outcome};
use diesel::Connection;

use crate::support::*;

const AFTER_LEASE: Duration = Duration::from_secs(61);

#[test]
fn only_the_holder_can_finish_a_job() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a"));
    let lost = take_letter(conn);
    conn.advance(AFTER_LEASE);
    rescue(conn, &no_wait(), LEASE, 10).unwrap();
    let held = take_letter(conn);
    assert_eq!(held.id, lost.id);
    assert!(matches!(finish(conn, &lost, Ok(Outcome::Done), &no_wait()), Err(Error::LeaseLost)));
    assert_eq!(conn.number("select count(*) as value from finished_jobs"), 0);
    finish(conn, &held, Ok(Outcome::Done), &no_wait()).unwrap();
    assert!(matches!(finish(conn, &held, Ok(Outcome::Done), &no_wait()), Err(Error::LeaseLost)), "not twice");
    assert_eq!(conn.number("select count(*) as value from finished_jobs"), 1);
}

#[test]
fn a_lost_lease_confirms_with_an_error() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a"));
    let job = take_letter(conn);
    job.lease.confirm(conn).unwrap();
    conn.advance(AFTER_LEASE);
    job.lease.confirm(conn).expect("expired, but nobody took it: still held");
    rescue(conn, &no_wait(), LEASE, 10).unwrap();
    assert!(matches!(job.lease.confirm(conn), Err(Error::LeaseLost)));
    let again = take_letter(conn);
    assert!(matches!(job.lease.confirm(conn), Err(Error::LeaseLost)));
    again.lease.confirm(conn).unwrap();
    finish(conn, &again, Ok(Outcome::Done), &no_wait()).unwrap();
    assert!(matches!(again.lease.confirm(conn), Err(Error::LeaseLost)));
}

#[test]
fn several_transactions_may_hold_on_to_one_lease() {
    let database = Database::create();
    let (mut first, mut second, mut rescuer) =
        (database.connection(), database.connection(), database.connection());
    add(&mut first, &letter("a"));
    let job = take_letter(&mut first);
    first.advance(AFTER_LEASE);
    second.batch_execute_all("set lock_timeout = '5s'");
    first
        .transaction::<(), Error, _>(|first| {
            job.lease.confirm_shared(first)?;
            second.transaction(|second| job.lease.confirm_shared(second))?;
            assert_eq!(rescue(&mut rescuer, &no_wait(), LEASE, 10)?.jobs, 0);
            Ok(())
        })
        .unwrap();
    assert_eq!(rescue(&mut rescuer, &no_wait(), LEASE, 10).unwrap().jobs, 1);
    assert!(matches!(job.lease.confirm_shared(&mut first), Err(Error::LeaseLost)));
}

#[test]
fn a_confirmed_lease_cannot_be_rescued_until_the_transaction_ends() {
    let database = Database::create();
    let (mut holder, mut rescuer) = (database.connection(), database.connection());
    add(&mut holder, &letter("a"));
    let job = take_letter(&mut holder);
    holder.advance(AFTER_LEASE);
    holder
        .transaction::<(), Error, _>(|conn| {
            job.lease.confirm(conn)?;
            assert_eq!(rescue(&mut rescuer, &no_wait(), LEASE, 10)?.jobs, 0);
            assert!(
                extend(&mut rescuer, std::slice::from_ref(&job.lease), LEASE)?.is_empty(),
                "it neither waits nor is lost"
            );
            Ok(())
        })
        .unwrap();
    assert_eq!(rescue(&mut rescuer, &no_wait(), LEASE, 10).unwrap().jobs, 1);
}

#[test]
fn a_heartbeat_extends_leases_and_tells_which_are_lost() {
    let database = Database::create();
    let conn = &mut database.connection();
    for text in ["kept", "lost", "finished"] {
        add(conn, &letter(text));
    }
    let jobs = take(conn, "tester", &["letters"], 3);
    let leases: Vec<_> = jobs.iter().map(|job| job.lease.clone()).collect();
    conn.advance(Duration::from_secs(30));
    assert!(extend(conn, &leases[..1], LEASE).unwrap().is_empty());
    conn.advance(Duration::from_secs(31));
    assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap().jobs, 2, "the first was extended");
    let again = take_letter(conn);
    finish(conn, &again, Ok(Outcome::Done), &no_wait()).unwrap();
    assert_eq!(extend(conn, &leases, LEASE).unwrap(), leases[1..]);
}

#[test]
fn an_expired_lease_is_rescued_and_costs_an_attempt() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").max_attempts(2));
    take_letter(conn);
    assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap().jobs, 0, "its lease is good");
    conn.advance(AFTER_LEASE);
    assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap().jobs, 1);
    let error = conn.text("select error as value from job_attempts where outcome = 'retried'").unwrap();
    assert!(error.starts_with("lease expired") && error.contains("`tester`"), "{error}");
    assert_eq!(take_letter(conn).attempt, 2);
}

#[test]
fn claims_are_looked_after_until_their_jobs_have_left() {
    let database = Database::create();
    let conn = &mut database.connection();
    for text in ["long", "short", "other"] {
        add(conn, &letter(text));
    }
    let [long, short] = take(conn, "tester", &["letters"], 2).try_into().unwrap();
    take_letter(conn);
    let named = "select string_agg(job_ids::text, ' ' order by job_ids) as value from job_claims";
    assert_eq!(conn.text(named).unwrap(), format!("{{{},{}}} {{{}}}", long.id.0, short.id.0, short.id.0 + 1));
    finish(conn, &short, Ok(Outcome::Done), &no_wait()).unwrap();
    for _ in 0..3 {
        conn.advance(AFTER_LEASE / 2);
        assert!(extend(conn, std::slice::from_ref(&long.lease), LEASE).unwrap().is_empty());
        conn.advance(AFTER_LEASE / 2);
        rescue(conn, &no_wait(), LEASE, 10).unwrap();
        assert_eq!(conn.text(named).unwrap(), format!("{{{}}}", long.id.0));
    }
    assert_eq!(conn.number("select count(*) as value from running_jobs"), 1);
    finish(conn, &long, Ok(Outcome::Done), &no_wait()).unwrap();
    conn.advance(AFTER_LEASE);
    assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap(), Rescued { claims: 1, jobs: 0 });
    assert_eq!(conn.text(named), None);
    assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap(), Rescued::default());
}

#[test]
fn a_rescued_job_runs_again_at_once() {
    let database = Database::create();
    let conn = &mut database.connection();
    let hour = Duration::from_secs(3600);
    let slow = Backoff { first: hour, cap: hour, factor: 2 };
    add(conn, &letter("a").max_attempts(9));
    for attempt in 1..=4 {
        assert_eq!(take_letter(conn).attempt, attempt);
        conn.advance(AFTER_LEASE);
        assert_eq!(rescue(conn, &slow, LEASE, 10).unwrap().jobs, 1);
    }
    let waiting = "select count(*) as value from jobs where state = 'scheduled'";
    assert_eq!(conn.number(waiting), 1, "a job that outlives so many workers may be what kills them");
}

#[test]
fn a_rescued_job_without_attempts_left_has_failed() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").max_attempts(1));
    take_letter(conn);
    conn.advance(AFTER_LEASE);
    assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap().jobs, 1);
    assert_eq!(conn.number("select count(*) as value from jobs"), 0);
    let error = conn.text("select last_error as value from finished_jobs where outcome = 'failed'").unwrap();
    assert!(error.starts_with("lease expired"), "{error}");
}

#[test]
fn two_rescuers_rescue_a_job_once() {
    let database = Database::create();
    let conn = &mut database.connection();
    for _ in 0..200 {
        add(conn, &letter("a"));
    }
    for _ in 0..40 {
        take(conn, "tester", &["letters"], 5);
    }
    conn.advance(AFTER_LEASE);
    let rescued: usize = std::thread::scope(|scope| {
        let rescuers: Vec<_> = (0..4)
            .map(|_| {
                let mut conn = database.connection();
                scope.spawn(move || {
                    (0..4).map(|_| rescue(&mut conn, &no_wait(), LEASE, 3).unwrap().jobs).sum::<usize>()
                })
            })
            .collect();
        rescuers.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let left = rescue(conn, &no_wait(), LEASE, 1000).unwrap().jobs;
    assert_eq!(rescued + left, 200);
    assert_eq!(conn.number("select count(*) as value from job_attempts"), 200);
}

#[test]
fn many_verdicts_are_written_with_one_statement() {
    let database = Database::create();
    let conn = &mut database.connection();
    for text in ["a", "b", "c", "d", "e", "f"] {
        add(conn, &letter(text));
    }
    let jobs = take(conn, "tester", &["letters"], 6);
    let rulings = [
        Ruling::Done,
        Ruling::Discarded("old".into()),
        Ruling::Failed("bad\0".into()),
        Ruling::Retried("again".into(), Duration::from_secs(9)),
        Ruling::Snoozed(Duration::from_secs(9)),
        Ruling::HandedBack,
    ];
    let verdicts: Vec<Verdict> =
        jobs.iter().zip(rulings).map(|(job, ruling)| Verdict { lease: job.lease.clone(), ruling }).collect();
    assert_eq!(settle(conn, &verdicts).unwrap().len(), 6);
    assert!(settle(conn, &verdicts).unwrap().is_empty());
    let list = |conn: &mut _, sql: &str| Look::text(conn, sql).unwrap();
    let over = "select string_agg(concat_ws(' ', outcome, last_error), ', ' order by id) as value from finished_jobs";
    assert_eq!(list(conn, over), "done, discarded old, failed bad");
    let kept =
        "select string_agg(concat_ws(' ', state, attempt, last_error), ', ' order by id) as value from jobs";
    assert_eq!(list(conn, kept), "scheduled 1 again, scheduled 0, ready 0");
    let attempts = "select string_agg(concat_ws(' ', attempt, kind, worker, outcome, error), ', ' order by job_id) as value
                    from job_attempts where started_at <= finished_at";
    assert_eq!(
        list(conn, attempts),
        "1 letter tester discarded old, 1 letter tester failed bad, 1 letter tester retried again"
    );
}
