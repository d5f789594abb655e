//! Queue `backup_watcher_job`: what the watcher makes of the agent's answers.

use std::time::Duration;

use backup_core::actions::cancel_operation::cancel_backup;
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::domain::identifiers::{BackupId, ServiceInstanceGuid};
use backup_testkit::{AgentFault, Answer, Plan};

use crate::world::World;

/// A backup that the agent has accepted and works on until told otherwise.
async fn running(world: &World) -> (ServiceInstanceGuid, BackupId, String) {
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.status.as_str(), "running");
    (guid, id, backup.backup_id)
}

async fn ended_with(world: &World, plan: Plan) -> Backup {
    let (guid, id, name) = running(world).await;
    world.agent.replan(&name, plan);
    world.pass(15).await;
    world.backup(&guid, id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_backup_has_size_checksum_and_filters() {
    let world = World::new();
    let backup = ended_with(&world, Plan::done().size(4321)).await;
    assert_eq!(backup.status.as_str(), "done");
    assert_eq!(backup.size, 4321);
    assert_eq!(backup.checksum.unwrap().len(), 64);
    assert_eq!(backup.filter_plugins, ["zstd", "age"]);
    assert_eq!(world.value("SELECT last_done_at IS NOT NULL FROM service_instances"), "true");
    assert_eq!(world.value("SELECT count(*) FROM running_operations"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_backup_carries_the_agents_reason() {
    let world = World::new();
    let backup = ended_with(&world, Plan::failed("data_service_error", "pg_dump ended with 1")).await;
    assert_eq!(backup.status.as_str(), "failed");
    assert_eq!(backup.reason_code.as_deref(), Some("data_service_error"));
    assert_eq!(backup.msg.as_deref(), Some("pg_dump ended with 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn success_without_the_bytes_in_the_store_is_no_success() {
    let lies = [
        Plan::done_without_objects(),
        Plan::done_with_short_object(),
        Plan::done_without_metadata(),
        Plan::done_empty(),
    ];
    for lie in lies {
        let world = World::new();
        let backup = ended_with(&world, lie.clone()).await;
        assert_eq!(backup.status.as_str(), "failed", "{lie:?}");
        assert_eq!(backup.reason_code.as_deref(), Some("artifact_incomplete"), "{lie:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_forgot_the_backup_has_lost_it() {
    let world = World::new();
    let (guid, id, _) = running(&world).await;
    world.agent.forget();
    world.pass(15).await;
    assert_eq!(world.backup(&guid, id).await.reason_code.as_deref(), Some("agent_lost_operation"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_is_waited_for_until_the_deadline() {
    let mut world = World::new();
    let (guid, id, name) = running(&world).await;
    world.agent.down();
    world.leap(Duration::from_secs(3600)).await;
    let waiting = world.backup(&guid, id).await;
    assert_eq!(waiting.status.as_str(), "running");
    assert!(waiting.msg.unwrap().contains("no usable answer"));
    world.agent.up().unwrap();
    world.agent.replan(&name, Plan::done());
    world.leap(Duration::from_secs(60)).await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_what_the_agent_never_ends() {
    let world = World::new();
    let (guid, id, name) = running(&world).await;
    world.leap(Duration::from_secs(25 * 3600)).await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("timed_out"));
    assert!(
        world
            .agent
            .requests()
            .iter()
            .any(|request| request.method == "DELETE" && request.path.ends_with(&name))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_from_a_running_agent_is_no_verdict() {
    let world = World::new();
    let (guid, id, name) = running(&world).await;
    for fault in [
        AgentFault::Instead(Answer::Text(200, "null".into())),
        AgentFault::Instead(Answer::Text(500, "oops".into())),
        AgentFault::Instead(Answer::Huge(16 << 20)),
        AgentFault::WrongId,
        AgentFault::UnknownState,
    ] {
        world.agent.fail_status(fault);
        world.leap(Duration::from_secs(15)).await;
        assert_eq!(world.backup(&guid, id).await.status.as_str(), "running");
    }
    world.agent.replan(&name, Plan::done());
    world.pass(15).await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_backup_is_cancelled_and_leaves_nothing_behind() {
    let world = World::new();
    let (guid, id, _) = running(&world).await;
    cancel_backup(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    world.pass(15).await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.status.as_str(), "failed");
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"));
    assert!(!backup.has_remains);
    assert!(!world.folder(&backup).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_nobody_confirms_ends_as_such() {
    let mut world = World::new();
    let (guid, id, _) = running(&world).await;
    world.agent.down();
    cancel_backup(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    world.leap(Duration::from_secs(30)).await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "running");
    world.leap(Duration::from_secs(60)).await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"));
    assert!(backup.msg.unwrap().contains("could not be confirmed"));
    // What it left is removed once the agent is back and says that it has stopped.
    assert!(backup.has_remains);
    world.agent.up().unwrap();
    for _ in 0..5 {
        world.leap(Duration::from_secs(600)).await;
    }
    assert!(!world.backup(&guid, id).await.has_remains);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let world = World::new();
    let (guid, id, name) = running(&world).await;
    world.agent.replan(&name, Plan::done());
    world.database.execute("UPDATE jobs SET run_at = now()").unwrap();
    let mut conn = world.database.connection().unwrap();
    let job = world.claim_due(&mut conn);
    // Another worker rescues the job and takes it.
    world.database.execute("UPDATE jobs SET claim = claim + 1").unwrap();
    let kind = backup_core::domain::operation::OperationKind::Backup;
    let outcome =
        backup_core::actions::check_operation::check_operation(&world.manager, &job, kind, id.0).await;
    assert!(matches!(outcome, Err(backup_core::Error::LeaseLost)), "{outcome:?}");
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "running");
}

/// The database's clock was a month ahead when these times were written.
fn write_ahead(world: &World, column: &str) {
    let sql = format!("UPDATE backups SET {column} = {column} + interval '30 days'");
    world.database.execute(&sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_from_a_clock_that_was_ahead_passes_as_if_it_were_given_now() {
    let world = World::new();
    let (guid, id, _) = running(&world).await;
    write_ahead(&world, "deadline_at");
    world.pass(12).await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "running");
    let cut =
        "SELECT deadline_at BETWEEN now() + interval '23 hours' AND now() + interval '24 hours' FROM backups";
    assert_eq!(world.value(cut), "true");
    world.leap(Duration::from_secs(25 * 3600)).await;
    assert_eq!(world.backup(&guid, id).await.reason_code.as_deref(), Some("timed_out"));
    assert_eq!(world.value("SELECT count(*) FROM running_operations"), "0", "the instance is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_cancel_from_a_clock_that_was_ahead_counts_from_now() {
    let mut world = World::new();
    let (guid, id, _) = running(&world).await;
    world.agent.down();
    cancel_backup(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    write_ahead(&world, "cancel_requested_at");
    // A second wish is enough;
    cancel_backup(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    assert_eq!(world.value("SELECT cancel_requested_at <= now() FROM backups"), "true");
    // nor is it needed.
    write_ahead(&world, "cancel_requested_at");
    world.settle().await;
    assert_eq!(world.backup(&guid, id).await.status.as_str(), "running");
    world.leap(Duration::from_secs(90)).await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"), "{:?}", backup.msg);
}
