//! Queue `backup_agent_backups`: what the agent is sent, and what becomes of its refusals.

use std::time::Duration;

use backup_core::Policy;
use backup_core::actions::cancel_operation::cancel_backup;
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, request_restore};
use backup_core::domain::actor::Actor;
use backup_core::domain::stored_form::StoredForm;
use backup_testkit::{AgentFault, Answer, Plan};
use serde_json::json;

use crate::world::World;

fn starts(world: &World) -> usize {
    world.agent.requests().iter().filter(|request| request.method == "PUT").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_backup_runs_and_its_request_carries_what_the_agent_needs() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.status.as_str(), "running");
    assert!(backup.started_at.is_some());
    let request = world.agent.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert!(request.path.ends_with(&backup.backup_id), "{}", request.path);
    let body = request.json();
    assert_eq!(body["epoch"], 1);
    assert_eq!(body["store"], "local");
    assert_eq!(body["encryption"]["scheme"], "age");
    assert!(body["encryption"]["key"].as_str().unwrap().len() >= 32);
    // The key is nowhere in the clear.
    let key = body["encryption"]["key"].as_str().unwrap().to_owned();
    let leaked =
        format!("SELECT count(*) FROM encryption_keys WHERE encode(ciphertext, 'escape') LIKE '%{key}%'");
    assert_eq!(world.value(&leaked), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_the_legacy_form_gets_legacy_backups_and_restores_them_as_such() {
    let world = World::with_form(1, Policy::default(), StoredForm::Legacy);
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    assert_eq!(backup.filter_plugins, ["gzip", "openssl-enc"]);
    let (target, source) = (RestoreTarget::Guid(guid), RestoreSource::Target);
    request_restore(&world.manager, &Actor::worker(), target, source, backup.id).await.unwrap();
    world.settle().await;
    let sent: Vec<_> =
        world.agent.requests().iter().filter(|r| r.method == "PUT").map(|r| r.json()).collect();
    assert_eq!(sent[0]["compression"], json!({"scheme": "gzip", "level": 3}));
    assert_eq!(sent[0]["encryption"]["scheme"], "openssl-enc");
    assert_eq!(sent[1]["encryption"]["scheme"], "openssl-enc");
    assert_eq!(sent[1]["encryption"]["key"], sent[0]["encryption"]["key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_backup_fails_at_once_with_the_agents_words() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.fail_start(AgentFault::Instead(Answer::Json(
        422,
        json!({"error": "BadRequest", "description": "no such store"}),
    )));
    let id = world.request(&guid).await;
    world.settle().await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.status.as_str(), "failed");
    assert_eq!(backup.reason_code.as_deref(), Some("agent_rejected"));
    assert!(backup.msg.unwrap().contains("no such store"));
    assert_eq!(starts(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_agent_is_tried_again_and_then_given_up() {
    let mut world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.down();
    let id = world.request(&guid).await;
    world.settle().await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "queued");
    // 10 s, 40 s, 160 s and 600 s, less a quarter at most: an agent may be away for ten minutes.
    for _ in 0..10 {
        world.leap(Duration::from_secs(60)).await;
        let backup = world.backup(&guid, id).await;
        assert_eq!(backup.status.as_str(), "queued");
        assert!(backup.msg.unwrap().starts_with("will be tried again"), "people can see it");
    }
    world.leap(Duration::from_secs(400)).await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.status.as_str(), "failed");
    assert_eq!(backup.reason_code.as_deref(), Some("agent_unreachable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_back_between_attempts_gets_the_backup() {
    let mut world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.down();
    let id = world.request(&guid).await;
    world.settle().await;
    world.agent.up().unwrap();
    world.leap(Duration::from_secs(120)).await;
    world.pass(12).await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_starts_the_operation_once() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.fail_start(AgentFault::After(Answer::Disconnect));
    let id = world.request(&guid).await;
    world.settle().await;
    world.leap(Duration::from_secs(120)).await;
    world.pass(12).await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "done");
    assert_eq!(world.agent.operations().len(), 1);
    let epochs: Vec<_> = world
        .agent
        .requests()
        .iter()
        .filter(|r| r.method == "PUT")
        .map(|r| r.json()["epoch"].as_i64().unwrap())
        .collect();
    assert_eq!(epochs, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_repetition_does_not_fail_what_the_agent_works_on() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.fail_start(AgentFault::After(Answer::Disconnect));
    world.agent.fail_start(AgentFault::Instead(Answer::Json(
        401,
        json!({"error": "Unauthorized", "description": "a proxy thinks so"}),
    )));
    let id = world.request(&guid).await;
    world.settle().await;
    world.leap(Duration::from_secs(120)).await;
    world.pass(12).await;
    assert_eq!(starts(&world), 2);
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_redirects_and_huge_answers_are_no_success() {
    for fault in [
        Answer::Text(202, "<html>welcome</html>".into()),
        Answer::Redirect("http://127.0.0.1:9/".into()),
        Answer::Huge(16 << 20),
        Answer::CutOff("{\"id\":".into()),
    ] {
        let world = World::new();
        let guid = world.instance("i-1").await;
        for _ in 0..10 {
            world.agent.fail_start(AgentFault::Instead(fault.clone()));
        }
        let id = world.request(&guid).await;
        world.settle().await;
        for _ in 0..6 {
            world.leap(Duration::from_secs(600)).await;
        }
        let backup = world.backup(&guid, id).await;
        assert_eq!(backup.status.as_str(), "failed", "{fault:?}");
        assert!(backup.reason_code.is_some(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_agent_costs_no_attempt() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    for _ in 0..8 {
        world.agent.fail_start(AgentFault::Instead(Answer::RetryAfter(
            429,
            5,
            json!({"error": "Busy", "description": "later"}),
        )));
    }
    let id = world.request(&guid).await;
    world.settle().await;
    for _ in 0..10 {
        world.leap(Duration::from_secs(6)).await;
    }
    world.pass(12).await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_of_one_instance_run_one_after_the_other_in_order() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let (first, second) = (world.request(&guid).await, world.request(&guid).await);
    world.agent.plan(Plan::running());
    world.settle().await;
    assert_eq!(world.backup(&guid, first).await.status.as_str(), "running");
    world.pass(30).await;
    assert_eq!(world.backup(&guid, second).await.status.as_str(), "queued");
    assert_eq!(starts(&world), 1);
    world.agent.plan(Plan::done());
    let name = world.backup(&guid, first).await.backup_id;
    world.agent.replan(&name, Plan::done());
    world.pass(30).await;
    assert_eq!(world.backup(&guid, first).await.status.as_str(), "done");
    assert_eq!(world.backup(&guid, second).await.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_backup_is_cancelled_without_the_agent() {
    let mut world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.down();
    let id = world.request(&guid).await;
    cancel_backup(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    world.settle().await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"));
    assert!(!backup.has_remains);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_job_is_given_back_by_the_sweep() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let (running, queued) = (world.request(&guid).await, world.request(&guid).await);
    world.settle().await;
    world.database.execute("DELETE FROM jobs").unwrap();
    let adopted = backup_core::actions::adopt_operations::adopt_operations(&world.manager).await.unwrap();
    assert_eq!(adopted, 2);
    let name = world.backup(&guid, running).await.backup_id;
    world.agent.replan(&name, Plan::done());
    world.agent.plan(Plan::done());
    world.pass(30).await;
    assert_eq!(world.backup(&guid, running).await.status.as_str(), "done");
    assert_eq!(world.backup(&guid, queued).await.status.as_str(), "done");
    assert_eq!(backup_core::actions::adopt_operations::adopt_operations(&world.manager).await.unwrap(), 0);
}
