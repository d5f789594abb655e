//! Wishes, deadlines and old databases that meet a dispatch at the worst moment.

use std::time::Duration;

use backup_core::actions::cancel_operation::cancel_backup;
use backup_core::actions::check_operation::check_operation;
use backup_core::actions::start_operation::start_operation;
use backup_core::domain::actor::Actor;
use backup_core::domain::identifiers::{BackupId, ServiceInstanceGuid};
use backup_core::domain::operation::OperationKind;
use backup_core::queue::settle;
use backup_core::queue::{Backoff, JobError};
use backup_core::store::operations;
use backup_testkit::{AgentFault, Answer, Plan};
use diesel::connection::SimpleConnection;
use serde_json::json;

use crate::world::World;

/// It is busy, and asks to be left alone for an hour.
fn busy() -> Answer {
    Answer::RetryAfter(429, 3600, json!({"error": "Busy", "description": "later"}))
}

fn sent(world: &World, method: &str) -> usize {
    world.agent.requests().iter().filter(|request| request.method == method).count()
}

async fn cancel(world: &World, guid: &ServiceInstanceGuid, id: BackupId) {
    cancel_backup(&world.manager, &Actor::worker(), guid, id).await.unwrap();
}

async fn is_cancelled_within(world: &World, guid: &ServiceInstanceGuid, id: BackupId, seconds: u32) {
    world.pass(seconds).await;
    let backup = world.backup(guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"), "{:?}", backup.msg);
    assert!(backup.msg.unwrap().contains("confirms that it has stopped"));
    assert!(world.agent.operations().is_empty(), "nothing was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_cancel_wakes_what_waits_for_a_busy_agent() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.fail_start(AgentFault::Instead(busy()));
    let id = world.request(&guid).await;
    world.settle().await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "queued");
    cancel(&world, &guid, id).await;
    is_cancelled_within(&world, &guid, id, 3).await;
    assert_eq!(sent(&world, "PUT"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_cancel_that_arrives_while_the_agent_is_asked_is_not_slept_through() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let slow = Answer::Slow(Duration::from_secs(2), Box::new(busy()));
    world.agent.fail_start(AgentFault::Instead(slow));
    let id = world.request(&guid).await;
    let wish = async {
        while sent(&world, "PUT") == 0 {
            tokio::task::yield_now().await;
        }
        cancel(&world, &guid, id).await;
    };
    tokio::join!(world.settle(), wish);
    is_cancelled_within(&world, &guid, id, 3).await;
    assert_eq!(sent(&world, "PUT"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_cancel_between_the_agents_answer_and_the_end_of_the_job_is_not_slept_through() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.fail_start(AgentFault::Instead(busy()));
    let id = world.request(&guid).await;
    let mut conn = world.database.connection().unwrap();
    let job = world.claim_due(&mut conn);
    let outcome = start_operation(&world.manager, &job, OperationKind::Backup, id.0).await;
    cancel(&world, &guid, id).await;
    settle::finish(&mut conn, &job, outcome.map_err(JobError::from), &Backoff::default()).unwrap();
    is_cancelled_within(&world, &guid, id, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_cancel_wakes_what_waits_out_a_back_off() {
    let mut world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.down();
    let id = world.request(&guid).await;
    world.settle().await;
    cancel(&world, &guid, id).await;
    world.settle().await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"));
    assert!(!backup.has_remains, "no connection stood");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_a_busy_agent_refused_begins_nothing_after_the_cancellation() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.fail_start(AgentFault::Instead(busy()));
    let id = world.request(&guid).await;
    world.settle().await;
    let refused = world.agent.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    cancel(&world, &guid, id).await;
    is_cancelled_within(&world, &guid, id, 3).await;
    // A proxy delivers it once more.
    let (user, password) = world.agent.credential();
    let late = reqwest::Client::new()
        .put(format!("{}{}", world.agent.url(), refused.path))
        .basic_auth(user, Some(password))
        .body(refused.body)
        .send()
        .await
        .unwrap();
    assert_eq!(late.json::<serde_json::Value>().await.unwrap()["state"], "cancelled");
    assert!(world.agent.operations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_begun_by_its_deadline_has_timed_out() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let other = json!({"error": "OperationRunning", "description": "one at a time", "running_id": "other"});
    for _ in 0..3 {
        world.agent.fail_start(AgentFault::Instead(Answer::Json(409, other.clone())));
    }
    let id = world.request(&guid).await;
    world.settle().await;
    world.leap(Duration::from_secs(25 * 3600)).await;
    world.pass(3).await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("timed_out"), "{:?}", backup.msg);
    assert!(world.agent.operations().is_empty());
}

/// Two operations of one instance are sent at once when the older one's transaction commits last.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_to_the_watcher_waits_while_another_operation_of_the_instance_runs() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let first = world.request(&guid).await;
    world.settle().await;
    let second = world.request(&guid).await;
    world
        .database
        .execute(&format!(
            "UPDATE backups SET may_be_at_agent = true, dispatch_epoch = 1 WHERE id = {second}"
        ))
        .unwrap();
    cancel(&world, &guid, second).await;
    world.pass(12).await;
    assert_eq!(world.backup(&guid, second).await.status.as_str(), "queued");
    let failures = "SELECT count(*) FROM job_attempts WHERE outcome <> 'done'";
    assert_eq!(world.value(failures), "0", "waiting is no failed attempt");
    let name = world.backup(&guid, first).await.backup_id;
    world.agent.replan(&name, Plan::done());
    world.pass(20).await;
    assert_eq!(world.backup(&guid, first).await.status.as_str(), "done");
    assert_eq!(world.backup(&guid, second).await.reason_code.as_deref(), Some("cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_finds_another_operation_running_costs_no_attempt() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let first = world.request(&guid).await;
    let mut conn = world.database.connection().unwrap();
    let job = world.claim_due(&mut conn);
    let name = world.backup(&guid, first).await.backup_id;
    let accepted = json!({"id": name, "epoch": 1, "state": "running", "started_at": "2026-01-01T00:00:00Z"});
    let slow = Answer::Slow(Duration::from_secs(2), Box::new(Answer::Json(202, accepted)));
    world.agent.fail_start(AgentFault::After(slow));
    // Another one is recorded as running while this one is on its way.
    let second = world.request(&guid).await;
    let meanwhile = async {
        while sent(&world, "PUT") == 0 {
            tokio::task::yield_now().await;
        }
        let running =
            format!("UPDATE backups SET status = 'running', may_be_at_agent = true WHERE id = {second}");
        world.database.execute(&running).unwrap();
    };
    let start = start_operation(&world.manager, &job, OperationKind::Backup, first.0);
    let (outcome, ()) = tokio::join!(start, meanwhile);
    assert!(matches!(outcome, Ok(backup_core::queue::Outcome::Snooze(_))), "{outcome:?}");
    assert_eq!(world.backup(&guid, first).await.status.as_str(), "queued");
    assert_eq!(world.value(&format!("SELECT may_be_at_agent FROM backups WHERE id = {first}")), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_set_back_catches_up_with_the_agent_at_once() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    // The agent has seen a history that the database has forgotten.
    let name = world.backup(&guid, id).await.backup_id;
    raise_epoch(&world, &name, 700).await;
    world.database.execute("DELETE FROM jobs").unwrap();
    world.database.execute("ALTER TABLE backups DISABLE TRIGGER USER").unwrap();
    world
        .database
        .execute("UPDATE backups SET status = 'queued', dispatch_epoch = 0, may_be_at_agent = false")
        .unwrap();
    world.database.execute("ALTER TABLE backups ENABLE TRIGGER USER").unwrap();
    world.database.execute("DELETE FROM running_operations").unwrap();
    backup_core::actions::adopt_operations::adopt_operations(&world.manager).await.unwrap();
    world.pass(4).await;
    assert_eq!(world.value("SELECT dispatch_epoch FROM backups"), "701");
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "running");
    assert_eq!(world.agent.operations().len(), 1, "adopted, not begun again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_stop_reaches_an_agent_that_knows_newer_epochs() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    let name = world.backup(&guid, id).await.backup_id;
    raise_epoch(&world, &name, 700).await;
    cancel(&world, &guid, id).await;
    world.pass(4).await;
    let backup = world.backup(&guid, id).await;
    assert!(backup.msg.unwrap().contains("confirms that it has stopped"));
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"));
    assert_eq!(sent(&world, "DELETE"), 2, "one was too old");
}

/// Another manager, or this one before its database was set back, has dispatched it that often.
async fn raise_epoch(world: &World, name: &str, epoch: i64) {
    let first = world.agent.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert!(first.path.ends_with(name));
    let mut body = first.json();
    body["epoch"] = json!(epoch);
    let (user, password) = world.agent.credential();
    let url = format!("{}{}", world.agent.url(), first.path);
    let request = reqwest::Client::new().put(url).basic_auth(user, Some(password)).json(&body);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_tells_no_agent_to_stop() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    // Overdue, and the agent takes its time to say that it still runs.
    world.database.execute("UPDATE backups SET deadline_at = now() - interval '1 second'").unwrap();
    world.database.execute("UPDATE jobs SET run_at = now()").unwrap();
    let name = world.backup(&guid, id).await.backup_id;
    let still = json!({"id": name, "epoch": 1, "state": "running", "started_at": "2026-01-01T00:00:00Z"});
    let answer = Answer::Slow(Duration::from_secs(2), Box::new(Answer::Json(200, still)));
    world.agent.fail_status(AgentFault::Instead(answer));
    let mut conn = world.database.connection().unwrap();
    let job = world.claim_due(&mut conn);
    let overtaken = async {
        while sent(&world, "GET") == 0 {
            tokio::task::yield_now().await;
        }
        world.database.execute("UPDATE jobs SET claim = claim + 1").unwrap();
    };
    let check = check_operation(&world.manager, &job, OperationKind::Backup, id.0);
    let (outcome, ()) = tokio::join!(check, overtaken);
    assert!(matches!(outcome, Err(backup_core::Error::LeaseLost)), "{outcome:?}");
    assert_eq!(sent(&world, "DELETE"), 0);
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "running");
}

/// Handlers lock their job, then the operation.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_cancel_and_the_handler_of_the_operation_do_not_wait_for_each_other() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    world.database.execute("UPDATE jobs SET run_at = now()").unwrap();
    let mut conn = world.database.connection().unwrap();
    let job = world.claim_due(&mut conn);
    conn.batch_execute("BEGIN").unwrap();
    job.lease.confirm(&mut conn).unwrap();
    let (manager, owner) = (world.manager.clone(), guid.clone());
    let wish = tokio::spawn(async move { cancel_backup(&manager, &Actor::worker(), &owner, id).await });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while world.value(waiting) == "0" {
        tokio::task::yield_now().await;
    }
    let operation = operations::lock(&mut conn, OperationKind::Backup, id.0).unwrap().unwrap();
    assert_eq!(operation.cancel_requested_at, None, "the wish waits for the handler");
    conn.batch_execute("COMMIT").unwrap();
    wish.await.unwrap().unwrap();
    assert_eq!(world.value("SELECT cancel_requested_at IS NOT NULL FROM backups"), "true");
    assert_eq!(world.value("SELECT is_woken FROM jobs WHERE kind = 'check_operation'"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_wish_to_cancel_wakes_nothing() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let done = world.done_backup(&guid).await;
    world.enqueue(backup_core::jobs::check_operation(
        OperationKind::Backup,
        done.id.0,
        Duration::from_secs(60),
    ));
    let refused = cancel_backup(&world.manager, &Actor::worker(), &guid, done.id).await;
    assert!(matches!(refused, Err(backup_core::Error::NotCancellable(_))), "{refused:?}");
    assert_eq!(world.value("SELECT state FROM jobs WHERE kind = 'check_operation'"), "scheduled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_from_a_clock_that_was_ahead_is_not_dispatched_again() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.fail_start(AgentFault::Instead(busy()));
    world.agent.fail_start(AgentFault::Instead(busy()));
    world.request(&guid).await;
    world.settle().await;
    world.database.execute("UPDATE backups SET deadline_at = deadline_at + interval '30 days'").unwrap();
    world.leap(Duration::from_secs(2 * 3600)).await;
    assert_eq!(sent(&world, "PUT"), 2);
    assert_eq!(world.value("SELECT deadline_at <= now() + interval '24 hours' FROM backups"), "true");
}
