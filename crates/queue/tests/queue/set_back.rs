//! Mirrors `src/set_back.rs`: the clock was ahead, which a test makes of the present by moving what was written into the
//! future.

use std::time::Duration;

use backup_queue::heartbeat::register;
use backup_queue::rescue::{Rescued, rescue};
use backup_queue::set_back::recover;
use backup_queue::settle::finish;
use backup_queue::{Outcome, Schedule, declare_schedules};
use tokio_util::sync::CancellationToken;

use crate::runner::{next, reporting};
use crate::support::*;

const DAY: &str = "interval '1 day'";
const LEASE: Duration = Duration::from_secs(60);

#[test]
fn what_was_put_off_by_a_clock_that_was_ahead_is_due_when_it_is_right_again() {
    let database = Database::create();
    let conn = &mut database.connection();
    for text in ["snoozed in the future", "snoozed now"] {
        add(conn, &letter(text));
        let job = take_letter(conn);
        finish(conn, &job, Ok(Outcome::Snooze(Duration::from_secs(3600))), &no_wait()).unwrap();
        if text == "snoozed in the future" {
            conn.batch_execute_all(&format!(
                "update jobs set run_at = run_at + {DAY}, put_off_at = put_off_at + {DAY}"
            ));
        }
    }
    add(conn, &letter("delayed in the future").delay(Duration::from_secs(5)));
    conn.batch_execute_all(&format!(
        "update jobs set run_at = run_at + {DAY}, put_off_at = put_off_at + {DAY} where arguments->>'text' like 'delayed%'"
    ));
    assert_eq!(recover(conn, LEASE).unwrap(), 2);
    assert_eq!(recover(conn, LEASE).unwrap(), 0);
    let ready = conn.text(
        "select string_agg(arguments->>'text', ', ' order by id) as value from jobs where state = 'ready'",
    );
    assert_eq!(ready.unwrap(), "snoozed in the future, delayed in the future");
}

#[test]
fn a_lease_from_the_future_is_cut_to_its_length() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a"));
    // Given while the clock was ahead, or only renewed then.
    for (is_given, claims) in [(true, 1), (false, 0)] {
        let job = take_letter(conn);
        conn.batch_execute_all(&format!("update jobs set lease_expires_at = lease_expires_at + {DAY}"));
        if is_given {
            conn.batch_execute_all(&format!("update job_claims set look_at = look_at + {DAY}"));
        }
        assert_eq!(recover(conn, LEASE).unwrap(), claims);
        if !is_given {
            conn.advance(LEASE + Duration::from_secs(1));
        }
        let looked = rescue(conn, &no_wait(), LEASE, 10).unwrap();
        assert_eq!(looked, Rescued { claims: 1, jobs: 0 }, "its holder has the time of a lease to report");
        conn.advance(LEASE + Duration::from_secs(1));
        assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap().jobs, 1);
        assert_eq!(take_letter(conn).id, job.id);
        assert_eq!(recover(conn, LEASE).unwrap(), 0, "leases of the present are left alone");
        conn.advance(LEASE + Duration::from_secs(1));
        assert_eq!(rescue(conn, &no_wait(), LEASE, 10).unwrap().jobs, 1);
    }
}

#[test]
fn a_worker_that_died_in_the_future_does_not_count_as_alive_for_days() {
    let database = Database::create();
    let conn = &mut database.connection();
    for name in ["dead", "alive"] {
        register(conn, name, &["letters".into()], 1, LEASE).unwrap();
    }
    conn.batch_execute_all(&format!(
        "update job_workers set live_until = live_until + {DAY} where name = 'dead'"
    ));
    let alive =
        "select string_agg(name, ',' order by name) as value from job_workers where live_until > now()";
    let until = "select live_until::text as value from job_workers where name = 'alive'";
    let before = conn.text(until);
    recover(conn, LEASE).unwrap();
    assert_eq!(conn.text(until), before, "a registration of the present is left alone");
    assert_eq!(conn.text(alive).as_deref(), Some("alive,dead"), "it has the time of a lease to report");
    conn.advance(LEASE + Duration::from_secs(1));
    register(conn, "alive", &["letters".into()], 1, LEASE).unwrap();
    assert_eq!(conn.text(alive).as_deref(), Some("alive"));
}

#[test]
fn a_schedule_that_fired_in_the_future_fires_again() {
    let database = Database::create();
    let conn = &mut database.connection();
    let often = Schedule {
        name: "often".into(),
        cron: "*/5 * * * *".into(),
        time_zone: "UTC".into(),
        job: letter("often"),
    };
    declare_schedules(conn, &[often]).unwrap();
    conn.batch_execute_all(&format!(
        "update schedules set last_run_at = now() + {DAY}, next_run_at = next_run_at + {DAY}"
    ));
    assert_eq!(recover(conn, LEASE).unwrap(), 1);
    let ahead = conn.number("select extract(epoch from next_run_at - now())::bigint as value from schedules");
    assert!((0..=300).contains(&ahead), "{ahead}");
    assert_eq!(recover(conn, LEASE).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_notices_that_the_clock_went_back() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").delay(Duration::from_secs(5)));
    conn.batch_execute_all(&format!(
        "update jobs set run_at = run_at + {DAY}, put_off_at = put_off_at + {DAY}"
    ));
    let (registry, mut ran) = reporting();
    let runner = database.runner(registry, |_| ());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { runner.run(stop).await });
    assert_eq!(next(&mut ran).await, "a");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
