//! The life of a job from attempt to attempt, driven by [`backup_queue::Runner::step`].

use std::time::Duration;

use backup_queue::{Backoff, JobError, Outcome, Registry};

use crate::support::*;

fn registry(answer: impl Fn(i32) -> Result<Outcome, JobError> + Clone + Send + Sync + 'static) -> Registry {
    let mut registry = Registry::new();
    registry.register("letter", move |job| {
        let answer = answer(job.attempt);
        async move { answer }
    });
    registry
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_tried_again_after_its_back_off() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a"));
    let registry =
        registry(
            |attempt| {
                if attempt < 3 { Err(JobError::retry(format!("no {attempt}"))) } else { Ok(Outcome::Done) }
            },
        );
    let backoff = Backoff { first: Duration::from_secs(100), cap: Duration::from_secs(1000), factor: 2 };
    let runner = database.runner(registry, |config| config.backoff = backoff);
    for wait in [100, 200] {
        assert_eq!(runner.step().await.unwrap(), 1);
        let left = conn.number("select extract(epoch from run_at - now())::bigint as value from jobs");
        assert!((wait * 3 / 4 - 5..=wait).contains(&left), "{left} of {wait}");
        conn.advance(Duration::from_secs(60));
        assert_eq!(runner.step().await.unwrap(), 0, "not before its time");
        conn.advance(Duration::from_secs(200));
    }
    assert_eq!(runner.step().await.unwrap(), 1);
    let attempts = conn.text(
        "select string_agg(concat_ws(' ', outcome, error), ', ' order by attempt) as value from job_attempts",
    );
    assert_eq!(attempts.unwrap(), "retried no 1, retried no 2");
    let last = conn.text("select concat_ws(' ', outcome, attempt, last_error) as value from finished_jobs");
    assert_eq!(last.unwrap(), "done 3 no 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_failed_after_its_last_attempt() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").max_attempts(2));
    let runner = database.runner(registry(|attempt| Err(JobError::retry(format!("no {attempt}")))), |_| ());
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.push(runner.step().await.unwrap());
    }
    assert_eq!(steps, [1, 1, 0]);
    let failed = conn.text("select concat_ws(' ', outcome, attempt, last_error) as value from finished_jobs");
    assert_eq!(failed.unwrap(), "failed 2 no 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_no_retry_can_help_fails_the_job_at_once() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a"));
    let runner = database.runner(registry(|_| Err(JobError::give_up("hopeless"))), |_| ());
    assert_eq!(runner.step().await.unwrap(), 1);
    let failed = conn.text("select concat_ws(' ', outcome, attempt, last_error) as value from finished_jobs");
    assert_eq!(failed.unwrap(), "failed 1 hopeless");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snooze_costs_no_attempt_and_leaves_no_trace() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").max_attempts(1));
    let runner = database.runner(registry(|_| Ok(Outcome::Snooze(Duration::from_secs(60)))), |_| ());
    for _ in 0..5 {
        assert_eq!(runner.step().await.unwrap(), 1);
        assert_eq!(runner.step().await.unwrap(), 0, "it sleeps");
        conn.advance(Duration::from_secs(61));
    }
    assert_eq!(conn.number("select attempt::bigint as value from jobs"), 0);
    assert_eq!(conn.number("select count(*) as value from job_attempts"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_job_is_over_with_its_reason() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a"));
    let runner = database.runner(registry(|_| Ok(Outcome::Discard("the instance is gone".into()))), |_| ());
    assert_eq!(runner.step().await.unwrap(), 1);
    let over = conn.text("select concat_ws(' ', outcome, last_error) as value from finished_jobs");
    assert_eq!(over.unwrap(), "discarded the instance is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failed_attempt_with_its_message() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a").max_attempts(2));
    let runner = database.runner(
        registry(|attempt| if attempt == 1 { panic!("the {} broke", "pen") } else { Ok(Outcome::Done) }),
        |_| (),
    );
    assert_eq!(runner.step().await.unwrap(), 1);
    assert_eq!(
        conn.text("select last_error as value from jobs").unwrap(),
        "the handler panicked: the pen broke"
    );
    assert_eq!(runner.step().await.unwrap(), 1);
    assert_eq!(conn.text("select outcome as value from finished_jobs").unwrap(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_an_unknown_kind_is_left_for_a_newer_worker() {
    let database = Database::create();
    let conn = &mut database.connection();
    add(conn, &letter("a"));
    let old = database.runner(Registry::new(), |_| ());
    assert_eq!(old.step().await.unwrap(), 1);
    let error = conn.text("select last_error as value from jobs").unwrap();
    assert_eq!(error, "this worker has no handler for jobs of kind `letter`");
    let new = database.runner(registry(|_| Ok(Outcome::Done)), |_| ());
    assert_eq!(new.step().await.unwrap(), 1);
    assert_eq!(conn.number("select count(*) as value from finished_jobs where outcome = 'done'"), 1);
}
