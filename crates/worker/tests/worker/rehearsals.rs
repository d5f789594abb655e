//! Rehearsals from the wish or the schedule to what is written beside the backup.

use std::time::Duration;

use backup_core::actions::cancel_operation::cancel_rehearsal;
use backup_core::actions::delete_backup::delete_backup;
use backup_core::actions::inspect;
use backup_core::actions::measure::measure;
use backup_core::actions::request_rehearsal::request_rehearsal;
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::domain::identifiers::{RehearsalId, ServiceInstanceGuid};
use backup_core::domain::rehearsal::{Rehearsal, Verdict};
use backup_core::{Error, Policy, Result, jobs};
use backup_testkit::Plan;

use crate::world::World;

async fn rehearse(world: &World, guid: &ServiceInstanceGuid, backup: &Backup) -> Result<RehearsalId> {
    request_rehearsal(&world.manager, &Actor::worker(), guid, backup.id).await
}

async fn shown(world: &World, guid: &ServiceInstanceGuid, id: RehearsalId) -> Rehearsal {
    inspect::rehearsal(&world.manager, guid, id).await.unwrap()
}

/// A done backup, and its rehearsal after a while.
async fn rehearsed(world: &World, plan: Plan) -> (ServiceInstanceGuid, Backup, Rehearsal) {
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    world.agent.plan(plan);
    let id = rehearse(world, &guid, &backup).await.unwrap();
    world.settle().await;
    world.pass(15).await;
    let rehearsal = shown(world, &guid, id).await;
    (guid.clone(), world.backup(&guid, backup.id).await, rehearsal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_that_passes_is_written_beside_the_backup() {
    let world = World::new();
    let (_, backup, rehearsal) = rehearsed(&world, Plan::default()).await;
    assert_eq!((rehearsal.status.as_str(), rehearsal.restore_ms), ("done", Some(4000)), "{rehearsal:?}");
    assert_eq!(
        (rehearsal.checks[0].name.as_str(), rehearsal.checks[0].outcome.as_str()),
        ("tables", "passed")
    );
    let verification = backup.verification.unwrap();
    assert_eq!((verification.verdict, verification.restore_ms), (Verdict::Passed, Some(4000)));
    assert!(verification.last_verified_at >= rehearsal.started_at);
    let request = world.agent.requests().into_iter().rfind(|request| request.method == "PUT").unwrap();
    assert!(request.path.starts_with("/v1/rehearsals/"), "{}", request.path);
    assert_eq!(request.json()["checksum"], backup.checksum.unwrap().as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_that_fails_is_loud_and_leaves_the_backup_as_it_is() {
    let world = World::new();
    let (guid, backup, rehearsal) = rehearsed(&world, Plan::failed_check()).await;
    assert_eq!(rehearsal.reason_code.as_deref(), Some("check_failed"));
    assert_eq!(rehearsal.checks[0].outcome, "failed");
    assert_eq!(backup.status.as_str(), "done");
    let verification = backup.verification.clone().unwrap();
    assert_eq!((verification.verdict, verification.last_verified_at), (Verdict::Failed, None));
    assert_eq!(measure(&world.manager).await.unwrap().not_restorable, 1);
    let events = "SELECT subject FROM audit_events WHERE action = 'verification_failed'";
    assert_eq!(
        world.value(events),
        format!("backup {}, rehearsal {}: check_failed", backup.id, rehearsal.id)
    );

    // What passes later takes the alarm back.
    world.agent.plan(Plan::default());
    rehearse(&world, &guid, &backup).await.unwrap();
    world.settle().await;
    world.pass(15).await;
    assert_eq!(world.backup(&guid, backup.id).await.verification.unwrap().verdict, Verdict::Passed);
    assert_eq!(measure(&world.manager).await.unwrap().not_restorable, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_that_never_came_to_a_verdict_says_nothing_of_the_backup() {
    let world = World::new();
    let (guid, backup, rehearsal) = rehearsed(&world, Plan::failed("interrupted", "killed")).await;
    assert_eq!(rehearsal.reason_code.as_deref(), Some("agent_interrupted"));
    assert_eq!(
        (backup.verification.clone(), measure(&world.manager).await.unwrap().not_restorable),
        (None, 0)
    );

    world.agent.without_rehearsals();
    let id = rehearse(&world, &guid, &backup).await.unwrap();
    world.settle().await;
    let refused = shown(&world, &guid, id).await;
    assert_eq!((refused.status.as_str(), refused.reason_code.as_deref()), ("failed", Some("not_supported")));
    assert_eq!(world.backup(&guid, backup.id).await.verification, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_rehearsed_is_not_deleted_and_its_instance_not_blocked() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    world.agent.plan(Plan::running());
    let id = rehearse(&world, &guid, &backup).await.unwrap();
    assert_eq!(rehearse(&world, &guid, &backup).await.unwrap(), id, "asked for twice, done once");
    let deleted = delete_backup(&world.manager, &Actor::worker(), &guid, backup.id).await;
    assert!(matches!(deleted, Err(Error::BackupInUse)), "{deleted:?}");
    world.settle().await;
    assert_eq!(shown(&world, &guid, id).await.status.as_str(), "running");
    // Past the gate as well.
    let mark =
        format!("UPDATE backups SET status = 'deleted', marked_deleted_at = now() WHERE id = {}", backup.id);
    assert!(world.database.execute(&mark).is_err(), "the database refuses it, too");

    world.agent.plan(Plan::default());
    world.done_backup(&guid).await;
    assert_eq!(shown(&world, &guid, id).await.status.as_str(), "running", "they run beside each other");

    cancel_rehearsal(&world.manager, &Actor::worker(), &guid, id).await.unwrap();
    world.pass(15).await;
    assert_eq!(shown(&world, &guid, id).await.reason_code.as_deref(), Some("cancelled"));
    delete_backup(&world.manager, &Actor::worker(), &guid, backup.id).await.unwrap();
    assert!(!world.folder(&backup).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_waits_for_everything_else_of_its_instance() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    world.agent.plan(Plan::running());
    let running = world.request(&guid).await;
    world.settle().await;
    let id = rehearse(&world, &guid, &backup).await.unwrap();
    world.settle().await;
    world.pass(20).await;
    let waiting = shown(&world, &guid, id).await;
    assert_eq!(waiting.status.as_str(), "queued");
    assert_eq!(waiting.msg.as_deref(), Some("waits for another operation of the instance"));
    let name = world.backup(&guid, running).await.backup_id;
    world.agent.replan(&name, Plan::done());
    world.agent.plan(Plan::default());
    world.pass(30).await;
    assert_eq!(shown(&world, &guid, id).await.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_rehearses_within_its_budget_and_comes_to_everybody_in_time() {
    let world = World::with(1, Policy { verify_backup_budget: 3, ..Policy::default() });
    let guids = [world.instance("i-1").await, world.instance("i-2").await];
    for guid in &guids {
        for _ in 0..2 {
            world.done_backup(guid).await;
        }
    }
    let tally = || {
        world.value(
            "SELECT string_agg(n, ' ' ORDER BY n) FROM (SELECT guid || ':' || count(*) AS n
        FROM rehearsals r JOIN service_instances i ON i.id = r.service_instance_id GROUP BY guid) t",
        )
    };
    world.enqueue(jobs::verify_backups());
    world.settle().await;
    assert_eq!(tally(), "i-1:2", "newest and oldest of the first; the second does not fit");
    world.pass(60).await;
    assert_eq!(world.value("SELECT count(*) FROM rehearsals WHERE status = 'done' AND is_scheduled"), "2");
    world.leap(Duration::from_secs(7 * 24 * 3600)).await;
    world.enqueue(jobs::verify_backups());
    world.settle().await;
    world.pass(60).await;
    let unverified = "SELECT count(*) FROM backups b WHERE NOT EXISTS
        (SELECT FROM verifications v WHERE v.backup_row_id = b.id AND v.verdict = 'passed')";
    assert_eq!(world.value(unverified), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_whose_job_was_lost_is_given_another() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    let id = rehearse(&world, &guid, &backup).await.unwrap();
    world.database.execute("DELETE FROM jobs").unwrap();
    assert_eq!(backup_core::actions::adopt_operations::adopt_operations(&world.manager).await.unwrap(), 1);
    world.settle().await;
    world.pass(15).await;
    assert_eq!(shown(&world, &guid, id).await.status.as_str(), "done");
}
