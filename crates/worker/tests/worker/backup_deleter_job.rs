//! Queues `initialize_backup_deletion_job` and `backup_deleter_job`: what is deleted, when, and what is not.

use std::time::Duration;

use backup_core::actions::cancel_operation::cancel_backup;
use backup_core::actions::delete_backup::delete_backup;
use backup_core::actions::undelete_backup::undelete_backup;
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::domain::identifiers::ServiceInstanceGuid;
use backup_core::jobs::{self, DeletionStep};
use backup_core::{Error, Policy};
use backup_testkit::{AgentFault, Answer, Plan};
use serde_json::json;

use crate::world::World;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A world in which two good backups stay, each at least three days.
pub(crate) async fn with_backups(count: usize) -> (World, ServiceInstanceGuid, Vec<Backup>) {
    let world = World::with(1, Policy { min_backup_count: 2, retention_days: 3, ..Policy::default() });
    let guid = world.instance("i-1").await;
    let mut backups = Vec::new();
    for _ in 0..count {
        backups.push(world.done_backup(&guid).await);
    }
    (world, guid, backups)
}

pub(crate) async fn run(world: &World, step: DeletionStep) {
    world.enqueue(jobs::initialize_backup_deletion(step));
    world.settle().await;
}

pub(crate) fn statuses(world: &World) -> String {
    world.value("SELECT string_agg(status, ',' ORDER BY id) FROM backups")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_only_when_old_enough_and_with_enough_newer_ones() {
    let (world, _, backups) = with_backups(4).await;
    run(&world, DeletionStep::Mark).await;
    assert_eq!(statuses(&world), "done,done,done,done", "too young");
    world.leap(4 * DAY).await;
    run(&world, DeletionStep::Mark).await;
    assert_eq!(statuses(&world), "deleted,deleted,done,done", "two newer ones are needed");
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "deleted,deleted,done,done", "the undo window is open");
    assert!(world.folder(&backups[0]).exists());
    world.leap(2 * DAY).await;
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "done,done");
    assert!(!world.folder(&backups[0]).exists() && !world.folder(&backups[1]).exists());
    assert!(world.folder(&backups[2]).exists() && world.folder(&backups[3]).exists());
    world.leap(400 * DAY).await;
    for step in [DeletionStep::Mark, DeletionStep::Remove] {
        run(&world, step).await;
    }
    assert_eq!(statuses(&world), "done,done", "the newest stay, whatever the clock says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_backup_can_be_undeleted_within_the_window() {
    let (world, guid, backups) = with_backups(3).await;
    world.leap(4 * DAY).await;
    run(&world, DeletionStep::Mark).await;
    assert_eq!(statuses(&world), "deleted,done,done");
    let back = undelete_backup(&world.manager, &Actor::worker(), &guid, backups[0].id).await.unwrap();
    assert_eq!(back.status.as_str(), "done");
    let again = undelete_backup(&world.manager, &Actor::worker(), &guid, backups[0].id).await;
    assert!(matches!(again, Err(Error::NotUndeletable(_))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backups_of_a_deleted_instance_stay_for_their_time_and_can_be_restored_elsewhere_until_then() {
    let (world, guid, backups) = with_backups(2).await;
    world.leap(DAY).await;
    world.synchronise().await;
    world.brokers[0].change(guid.as_str(), |resource| resource.deleted("2020-01-01T00:00:00Z"));
    world.synchronise().await;
    assert_eq!(statuses(&world), "deleted,deleted");
    run(&world, DeletionStep::Remove).await;
    world.leap(29 * DAY).await;
    run(&world, DeletionStep::Remove).await;
    assert!(world.folder(&backups[0]).exists(), "a broker's lie about the time does not shorten it");
    undelete_backup(&world.manager, &Actor::worker(), &guid, backups[1].id).await.unwrap();
    world.leap(2 * DAY).await;
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "done");
    assert!(!world.folder(&backups[0]).exists());
}

/// `action|subject` of the worker's own events, oldest first.
fn events(world: &World) -> Vec<String> {
    let sql =
        "SELECT string_agg(action || '|' || service_instance_guid || '|' || subject, chr(10) ORDER BY at, id)
               FROM audit_events WHERE actor = 'worker' AND action <> 'request_backup'";
    world.value(sql).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_remove_by_themselves_is_in_the_audit_trail_with_the_reason() {
    let (world, guid, backups) = with_backups(3).await;
    world.leap(4 * DAY).await;
    run(&world, DeletionStep::Mark).await;
    run(&world, DeletionStep::Remove).await;
    world.leap(2 * DAY).await;
    run(&world, DeletionStep::Remove).await;
    let (first, second) = (backups[0].id, backups[1].id);
    world.brokers[0].change(guid.as_str(), |resource| resource.deleted("2026-01-01T00:00:00Z"));
    world.synchronise().await;
    let events = events(&world);
    assert_eq!(
        events[0],
        format!("mark_backup|i-1|backup {first}: it is older than 3 days and 2 newer done backups exist")
    );
    assert_eq!(
        events[1],
        format!("remove_backup|i-1|backup {first}: it was marked and the time to undelete it is over")
    );
    assert_eq!(events[2], "delete_instance|i-1|the service broker broker-0 says that it is deleted");
    assert!(
        events[3..].contains(&format!("mark_backup|i-1|backup {second}: its instance is deleted")),
        "{events:?}"
    );
    assert_eq!(events.len(), 5, "{events:?}");
}

/// A backup whose cancellation the agent, which is away, has not confirmed, and whose instance is deleted after that.
/// Operations have an hour.
async fn with_remains_of_a_deleted_instance() -> (World, ServiceInstanceGuid, Backup) {
    let policy = Policy { operation_timeout: Duration::from_secs(3600), ..Policy::default() };
    let mut world = World::with(1, policy);
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    world.agent.down();
    cancel_backup(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    world.settle().await;
    world.leap(Duration::from_secs(90)).await;
    world.brokers[0].change(guid.as_str(), |resource| resource.deleted("2026-01-01T00:00:00Z"));
    world.synchronise().await;
    world.leap(Duration::from_secs(600)).await;
    let backup = world.backup(&guid, id).await;
    assert_eq!(backup.reason_code.as_deref(), Some("cancelled"));
    assert!(backup.has_remains, "the agent may still be at work");
    let refused = delete_backup(&world.manager, &Actor::worker(), &guid, id).await;
    assert!(matches!(refused, Err(Error::Agent(_))), "{refused:?}");
    (world, guid, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_of_a_deleted_instance_is_told_to_stop_before_remains_are_removed() {
    let (mut world, guid, backup) = with_remains_of_a_deleted_instance().await;
    world.agent.up().unwrap();
    let still =
        json!({"id": backup.backup_id, "epoch": 1, "state": "running", "started_at": "2026-01-01T00:00:00Z"});
    world.agent.fail_cancel(AgentFault::Instead(Answer::Json(202, still)));
    let refused = delete_backup(&world.manager, &Actor::worker(), &guid, backup.id).await;
    assert!(matches!(refused, Err(Error::InstanceBusy)), "{refused:?}");
    delete_backup(&world.manager, &Actor::worker(), &guid, backup.id).await.unwrap();
    let told = world.agent.requests().into_iter().filter(|request| request.method == "DELETE").count();
    assert_eq!(told, 2);
    assert_eq!(statuses(&world), "");
    assert!(!world.folder(&backup).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_of_a_deleted_instance_counts_as_gone_once_its_operations_would_be_overdue() {
    let (world, guid, backup) = with_remains_of_a_deleted_instance().await;
    world.leap(Duration::from_secs(3600)).await;
    delete_backup(&world.manager, &Actor::worker(), &guid, backup.id).await.unwrap();
    assert_eq!(statuses(&world), "");
}
