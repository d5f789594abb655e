//! Mirrors `src/schedule`.

use std::time::Duration;

use backup_queue::schedule::fire_due;
use backup_queue::{Error, Schedule, declare_schedules};

use crate::support::*;

fn schedule(name: &str, cron: &str) -> Schedule {
    Schedule { name: name.into(), cron: cron.into(), time_zone: "UTC".into(), job: letter(name) }
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn four_workers_fire_a_due_schedule_exactly_once() {
    let database = Database::create();
    let conn = &mut database.connection();
    let all: Vec<_> = (0..20).map(|number| schedule(&format!("nightly {number}"), "30 1 * * *")).collect();
    declare_schedules(conn, &all).unwrap();
    assert_eq!(fire_due(conn).unwrap(), 0, "none is due yet");
    conn.advance(DAY);
    let fired: usize = std::thread::scope(|scope| {
        let firers: Vec<_> = (0..4)
            .map(|_| {
                let mut conn = database.connection();
                scope.spawn(move || fire_due(&mut conn).unwrap())
            })
            .collect();
        firers.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(fired, 20);
    assert_eq!(conn.number("select count(distinct arguments) as value from jobs"), 20);
    assert_eq!(conn.number("select count(*) as value from jobs"), 20);
}

#[test]
fn runs_missed_while_everything_was_down_fire_once() {
    let database = Database::create();
    let conn = &mut database.connection();
    declare_schedules(conn, &[schedule("often", "*/5 * * * *")]).unwrap();
    conn.advance(DAY * 3);
    assert_eq!(fire_due(conn).unwrap(), 1);
    assert_eq!(fire_due(conn).unwrap(), 0);
    assert_eq!(conn.number("select count(*) as value from jobs"), 1);
    let ahead = "select extract(epoch from next_run_at - now())::bigint as value from schedules";
    assert!((0..=300).contains(&conn.number(ahead)), "and the next run is at its regular time");
    assert_eq!(
        conn.number("select extract(epoch from next_run_at)::bigint % 300 as value from schedules"),
        0
    );
}

#[test]
fn a_schedule_whose_last_job_is_unfinished_adds_no_second_one() {
    let database = Database::create();
    let conn = &mut database.connection();
    let mut keyed = schedule("hourly", "0 * * * *");
    keyed.job = keyed.job.unique_key("hourly");
    declare_schedules(conn, &[keyed]).unwrap();
    for _ in 0..2 {
        conn.advance(DAY);
        assert_eq!(fire_due(conn).unwrap(), 1);
    }
    assert_eq!(conn.number("select count(*) as value from jobs"), 1);
}

#[test]
fn declaring_schedules_again_keeps_their_next_time_unless_the_cron_changed() {
    let database = Database::create();
    let conn = &mut database.connection();
    declare_schedules(
        conn,
        &[schedule("a", "0 0 * * *"), schedule("b", "0 0 * * *"), schedule("c", "0 0 * * *")],
    )
    .unwrap();
    conn.advance(DAY);
    let mut moved = schedule("b", "0 0 * * *");
    moved.time_zone = "Asia/Tokyo".into();
    let mut other_job = schedule("a", "0 0 * * *");
    other_job.job = letter("new text");
    declare_schedules(conn, &[other_job, moved]).unwrap();
    let names = "select string_agg(name || case when next_run_at <= now() then ' due' else '' end, ', ' order by name) as value from schedules";
    assert_eq!(conn.text(names).unwrap(), "a due, b");
    assert_eq!(fire_due(conn).unwrap(), 1);
    assert_eq!(texts(&[take_letter(conn)]), ["new text"]);
}

#[test]
fn a_schedule_that_cannot_be_read_is_refused_and_changes_nothing() {
    let database = Database::create();
    let conn = &mut database.connection();
    declare_schedules(conn, &[schedule("a", "0 0 * * *")]).unwrap();
    let refused = declare_schedules(conn, &[schedule("b", "0 0 * * *"), schedule("c", "whenever")]);
    assert!(matches!(refused, Err(Error::Schedule { name, .. }) if name == "c"));
    assert_eq!(conn.text("select string_agg(name, ',') as value from schedules").unwrap(), "a");
}

#[test]
fn workers_that_start_together_can_declare_together() {
    let database = Database::create();
    let all: Vec<_> = (0..30).map(|number| schedule(&number.to_string(), "0 0 * * *")).collect();
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let mut mine = all.clone();
            mine.rotate_left(turn * 7);
            let mut conn = database.connection();
            scope.spawn(move || declare_schedules(&mut conn, &mine).unwrap());
        }
    });
    assert_eq!(database.connection().number("select count(*) as value from schedules"), 30);
}
