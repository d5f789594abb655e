//! Queue `restore_watcher_job`, and the way of a restore to it.

use backup_core::actions::cancel_operation::cancel_restore;
use backup_core::actions::delete_backup::delete_backup;
use backup_core::actions::inspect;
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, request_restore};
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::domain::identifiers::{RestoreId, ServiceInstanceGuid};
use backup_core::domain::restore::Restore;
use backup_core::{Error, Result};
use backup_testkit::Plan;

use crate::world::World;

async fn restore(
    world: &World,
    target: &ServiceInstanceGuid,
    source: RestoreSource,
    backup: &Backup,
) -> Result<RestoreId> {
    request_restore(&world.manager, &Actor::worker(), RestoreTarget::Guid(target.clone()), source, backup.id)
        .await
}

async fn shown(world: &World, guid: &ServiceInstanceGuid, id: RestoreId) -> Restore {
    inspect::restore(&world.manager, guid, id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_runs_and_is_done() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    let id = restore(&world, &guid, RestoreSource::Target, &backup).await.unwrap();
    world.settle().await;
    world.pass(15).await;
    let restore = shown(&world, &guid, id).await;
    assert_eq!(restore.status.as_str(), "done");
    let taken_at = world.backup(&guid, backup.id).await.started_at.unwrap();
    assert_eq!(restore.restored_from, taken_at);
    let request = world.agent.requests().into_iter().rfind(|request| request.method == "PUT").unwrap();
    assert_eq!(request.json()["backup_id"], backup.backup_id.as_str());
    assert_eq!(request.json()["checksum"], backup.checksum.unwrap().as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_restore_carries_the_agents_reason() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    world.agent.plan(Plan::failed("checksum_mismatch", "part data.00001 is damaged"));
    let id = restore(&world, &guid, RestoreSource::Target, &backup).await.unwrap();
    world.settle().await;
    world.pass(15).await;
    let restore = shown(&world, &guid, id).await;
    assert_eq!(restore.status.as_str(), "failed");
    assert_eq!(restore.reason_code.as_deref(), Some("checksum_mismatch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_restore_is_unfinished_a_second_is_refused_and_its_backup_is_locked() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    world.agent.plan(Plan::running());
    let id = restore(&world, &guid, RestoreSource::Target, &backup).await.unwrap();
    let second = restore(&world, &guid, RestoreSource::Target, &backup).await;
    assert!(matches!(second, Err(Error::RestoreInProgress)), "{second:?}");
    let deleted = delete_backup(&world.manager, &Actor::worker(), &guid, backup.id).await;
    assert!(matches!(deleted, Err(Error::BackupInUse)), "{deleted:?}");
    world.settle().await;
    cancel_restore(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    world.pass(15).await;
    assert_eq!(shown(&world, &guid, id).await.reason_code.as_deref(), Some("cancelled"));
    delete_backup(&world.manager, &Actor::worker(), &guid, backup.id).await.unwrap();
    assert!(!world.folder(&backup).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_into_another_instance_with_the_key_it_was_made_with() {
    let world = World::new();
    let source = world.instance("i-1").await;
    let target = world.instance("i-2").await;
    let backup = world.done_backup(&source).await;
    let mut made_with =
        world.agent.requests().into_iter().rfind(|r| r.method == "PUT").unwrap().json()["encryption"].clone();
    // Only what is written needs one.
    assert!(made_with.as_object_mut().unwrap().remove("key_envelope").is_some());
    let id = restore(&world, &target, RestoreSource::Instance(source), &backup).await.unwrap();
    world.settle().await;
    world.pass(15).await;
    assert_eq!(shown(&world, &target, id).await.status.as_str(), "done");
    let asked =
        world.agent.requests().into_iter().rfind(|r| r.method == "PUT").unwrap().json()["encryption"].clone();
    assert_eq!(asked, made_with);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_done_backup_of_the_same_data_service_can_be_restored() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let target = world.instance("i-2").await;
    let backup = world.done_backup(&guid).await;
    let foreign = restore(&world, &target, RestoreSource::Target, &backup).await;
    assert!(matches!(foreign, Err(Error::BackupNotFound(_))), "{foreign:?}");
    world.database.execute("UPDATE service_instances SET data_service = 'redis' WHERE guid = 'i-2'").unwrap();
    let mismatch = restore(&world, &target, RestoreSource::Instance(guid.clone()), &backup).await;
    assert!(matches!(mismatch, Err(Error::DataServiceMismatch { .. })), "{mismatch:?}");
    world.agent.plan(Plan::failed("data_service_error", "no"));
    let failed = world.request(&guid).await;
    world.settle().await;
    world.pass(15).await;
    let failed = world.backup(&guid, failed).await;
    let refused = restore(&world, &guid, RestoreSource::Target, &failed).await;
    assert!(matches!(refused, Err(Error::BackupNotRestorable { status: "failed", .. })), "{refused:?}");
}
