//! Physical backups and restores to a moment, from the configuration of an instance to what its agent is asked, and the
//! windows from the agent to the database.

use backup_core::actions::inspect;
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, Wanted, request_restore};
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::{Error, jobs};
use backup_protocol::{PitrWindow, PitrWindowState};
use chrono::{DateTime, TimeDelta, Utc};

use crate::world::World;

fn window(backup: &str, start: DateTime<Utc>, minutes: i64) -> PitrWindow {
    PitrWindow {
        backup_id: backup.to_owned(),
        start_time: start,
        end_time: start + TimeDelta::minutes(minutes),
        last_segment: format!("after {minutes} minutes"),
        state: PitrWindowState::Open,
        reason: None,
    }
}

fn start() -> DateTime<Utc> {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

async fn physical(world: &World) -> (backup_core::domain::identifiers::ServiceInstanceGuid, Backup) {
    let guid = world.instance("i-1").await;
    world.database.execute("UPDATE service_instances SET backup_type = 'postgresql_wal'").unwrap();
    world.agent.archives(Vec::new());
    let backup = world.done_backup(&guid).await;
    (guid, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_asked_for_the_type_of_its_instance() {
    let world = World::new();
    physical(&world).await;
    let request = world.agent.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!(request.json()["backup_type"], "postgresql_wal");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_make_the_type_is_not_asked_for_another() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.database.execute("UPDATE service_instances SET backup_type = 'postgresql_wal'").unwrap();
    let id = world.request(&guid).await;
    world.settle().await;
    let backup = world.backup(&guid, id).await;
    assert_eq!((backup.status.as_str(), backup.reason_code.as_deref()), ("failed", Some("agent_rejected")));
    assert!(backup.msg.unwrap().contains("no backups of the type postgresql_wal"));
    assert!(world.agent.requests().iter().all(|request| request.method != "PUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_learnt_every_minute_and_stay_while_the_agent_is_away() {
    let world = World::new();
    let (guid, backup) = physical(&world).await;
    let refresh = async || {
        world.enqueue(jobs::refresh_windows(None));
        world.settle().await;
    };
    refresh().await;
    assert!(matches!(inspect::promise(&world.manager, &guid).await, Err(Error::NoWindow(_))));
    for minutes in [1, 2] {
        // Windows of backups that are nobody's are not taken.
        world
            .agent
            .archives(vec![window("stranger", start(), 99), window(&backup.backup_id, start(), minutes)]);
        refresh().await;
        let promise = inspect::promise(&world.manager, &guid).await.unwrap();
        assert_eq!((promise.start, promise.end), (start(), start() + TimeDelta::minutes(minutes)));
    }
    world.database.execute("UPDATE service_instances SET agent_url = 'http://127.0.0.1:1'").unwrap();
    refresh().await;
    let promise = inspect::promise(&world.manager, &guid).await.unwrap();
    assert_eq!(promise.end, start() + TimeDelta::minutes(2));
    assert!(promise.is_growing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_to_a_moment_tells_the_agent_the_moment_and_where_the_window_ends() {
    let world = World::new();
    let (guid, backup) = physical(&world).await;
    world.agent.archives(vec![window(&backup.backup_id, start(), 5)]);
    world.enqueue(jobs::refresh_windows(Some(guid.as_str())));
    world.settle().await;
    let moment = start() + TimeDelta::minutes(3);
    let wanted = Wanted::Moment(moment, None);
    let target = RestoreTarget::Guid(guid.clone());
    let id = request_restore(&world.manager, &Actor::worker(), target, RestoreSource::Target, wanted)
        .await
        .unwrap();
    world.settle().await;
    let request = world.agent.requests().into_iter().rfind(|request| request.method == "PUT").unwrap().json();
    assert_eq!(request["recovery_target_time"], "2026-01-02T03:07:05.678Z");
    assert_eq!(request["recovery_last_segment"], "after 5 minutes");
    assert_eq!(request["backup_id"], backup.backup_id.as_str());
    world.pass(15).await;
    assert_eq!(inspect::restore(&world.manager, &guid, id).await.unwrap().status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_keeps_the_base_of_the_oldest_promised_moment_as_long_as_moments_are_promised() {
    let world = World::new();
    let (guid, first) = physical(&world).await;
    let sql = "UPDATE service_instances SET min_backup_count = 0, retention_days = 7";
    world.database.execute(sql).unwrap();
    let second = world.done_backup(&guid).await;
    let third = world.done_backup(&guid).await;
    for (backup, days) in [(&first, 30), (&second, 20), (&third, 10)] {
        let sql = format!(
            "INSERT INTO pitr_windows (backup_row_id, start_at, end_at, last_segment, state) \
             VALUES ({0}, now() - interval '{days} days', now(), 's', 'continued')",
            backup.id
        );
        world.database.execute(&sql).unwrap();
    }
    world.leap(std::time::Duration::from_secs(9 * 86_400)).await;
    let run = async || {
        world.enqueue(jobs::initialize_backup_deletion(jobs::DeletionStep::Mark));
        world.settle().await;
        let mut statuses = Vec::new();
        for backup in [&first, &second, &third] {
            statuses.push(world.backup(&guid, backup.id).await.status.as_str());
        }
        statuses
    };
    assert_eq!(run().await, ["deleted", "deleted", "done"]);
    world.database.execute("UPDATE service_instances SET backup_type = NULL").unwrap();
    assert_eq!(run().await, ["deleted", "deleted", "deleted"]);
}
