//! Kind `rebuild_catalogue` of queue `update_instance_state_job`: what comes back after the database is lost, what cannot, and why.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use backup_core::actions::adopt_backup::{Adoption, adopt, examine};
use backup_core::actions::configure_instance::configure_instance;
use backup_core::actions::request_rebuild::{list_findings, request_rebuild, show_rebuild};
use backup_core::actions::request_restore::{RestoreSource, RestoreTarget, request_restore};
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::domain::catalogue::{Finding, Rebuild};
use backup_core::domain::identifiers::{BackupId, RebuildId, ServiceInstanceGuid};
use backup_core::domain::instance::InstanceChanges;
use backup_core::{Policy, Settings, jobs};
use backup_testkit::{Answer, Plan};
use chrono::DateTime;
use serde_json::Value;

use crate::world::World;

/// What the list of backups says, and has to say again.
const CATALOGUE: &str = "
    SELECT string_agg(concat_ws(' ', guid, b.backup_id, b.size, b.checksum, b.filter_plugins::text, b.bytes_processed, b.is_scheduled,
                                b.store, b.object_prefix, k.is_own), E'\\n' ORDER BY guid, b.id)
    FROM backups b JOIN service_instances i ON i.id = b.service_instance_id JOIN encryption_keys k ON k.id = b.encryption_key_id";

/// Everything the database knew.
fn lose(world: &World) {
    world
        .database
        .execute(
            "SET session_replication_role = replica; TRUNCATE backups, restores, running_operations, encryption_keys,
             service_instances, service_brokers, audit_events, jobs, job_attempts, finished_jobs RESTART IDENTITY CASCADE",
        )
        .unwrap();
}

/// Removes rows as no part of the product would, objects and all else untouched.
fn lose_row(world: &World, backup: &Backup) {
    world
        .database
        .execute(&format!(
            "SET session_replication_role = replica; DELETE FROM backups WHERE backup_id = '{}'",
            backup.backup_id
        ))
        .unwrap();
}

async fn rebuild(world: &World, is_dry_run: bool) -> (Rebuild, Vec<(String, i64)>, Vec<Finding>) {
    let id = request_rebuild(&world.manager, &Actor::worker(), None, is_dry_run).await.unwrap();
    world.settle().await;
    ended(world, id).await
}

async fn ended(world: &World, id: RebuildId) -> (Rebuild, Vec<(String, i64)>, Vec<Finding>) {
    let (rebuild, outcomes) = show_rebuild(&world.manager, id).await.unwrap();
    assert_eq!(rebuild.status.as_str(), "done", "{rebuild:?}");
    (rebuild, outcomes, list_findings(&world.manager, id, 0, 1000).await.unwrap())
}

fn outcomes(all: &[(&str, i64)]) -> Vec<(String, i64)> {
    all.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

async fn set_own_key(world: &World, guid: &ServiceInstanceGuid, key: &str) {
    let changes =
        InstanceChanges { encryption_key: Some(key.to_owned().into()), ..InstanceChanges::default() };
    configure_instance(&world.manager, &Actor::worker(), guid, changes).await.unwrap();
}

async fn configure(world: &World, guid: &ServiceInstanceGuid, days: i64) {
    let changes = InstanceChanges { retention_days: Some(days), ..InstanceChanges::default() };
    configure_instance(&world.manager, &Actor::worker(), guid, changes).await.unwrap();
}

/// Restores the backup and returns the key the agent was given.
async fn restored_with(world: &World, guid: &ServiceInstanceGuid, backup_id: &str) -> String {
    let row = world.value(&format!("SELECT id FROM backups WHERE backup_id = '{backup_id}'"));
    let id = BackupId(row.parse().unwrap());
    let (target, source) = (RestoreTarget::Guid(guid.clone()), RestoreSource::Target);
    request_restore(&world.manager, &Actor::worker(), target, source, id).await.unwrap();
    world.settle().await;
    world.pass(12).await;
    assert_eq!(world.value("SELECT status FROM restores ORDER BY id DESC LIMIT 1"), "done");
    world.agent.operations().into_iter().rfind(|operation| !operation.is_backup).unwrap().key
}

fn metadata(world: &World, backup: &Backup) -> PathBuf {
    world.folder(backup).join("metadata.json")
}

fn edit(world: &World, backup: &Backup, change: impl FnOnce(&mut Value)) {
    let path = metadata(world, backup);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn envelope(world: &World, backup: &Backup) -> Value {
    let value: Value = serde_json::from_slice(&fs::read(metadata(world, backup)).unwrap()).unwrap();
    assert!(value["key_envelope"].is_string(), "{value}");
    value["key_envelope"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_catalogue_comes_back_from_the_bucket_and_the_keys() {
    let world = World::new();
    let (own, other, gone) =
        (world.instance("own").await, world.instance("other").await, world.instance("gone").await);
    let mut all = vec![world.done_backup(&own).await];
    set_own_key(&world, &own, "the owner's first key").await;
    all.push(world.done_backup(&own).await);
    set_own_key(&world, &own, "the owner's second key").await;
    configure(&world, &own, 90).await;
    for guid in [&own, &other, &other, &gone] {
        all.push(world.done_backup(guid).await);
    }
    world
        .database
        .execute("UPDATE service_instances SET space_guid = 'space-of-gone' WHERE guid = 'gone'")
        .unwrap();
    all.push(world.done_backup(&gone).await);
    let (before, folders) = (
        world.value(CATALOGUE),
        "SELECT string_agg(guid || backup_guid, ',' ORDER BY guid) FROM service_instances",
    );
    let folders_before = world.value(folders);
    let keys: Vec<String> =
        world.agent.operations().iter().filter(|o| o.is_backup).map(|o| o.key.clone()).collect();

    lose(&world);
    world.brokers[0].forget("gone");
    world.synchronise().await;
    let (rebuilt, found, findings) = rebuild(&world, false).await;
    assert_eq!((found, rebuilt.known), (outcomes(&[("adopted", 7)]), 0), "{findings:?}");
    assert_eq!((rebuilt.folders_done, rebuilt.folders_total), (3, 3));
    assert_eq!(world.value(CATALOGUE), before);
    assert_eq!(world.value(folders), folders_before);

    // The keys are those the backups were made with, and the owner's last one is in use again.
    for (backup, key) in all.iter().zip(&keys).take(5) {
        let guid = if backup.backup_id.starts_with(&all[0].object_prefix["backups/".len()..]) {
            &own
        } else {
            &other
        };
        assert_eq!(&restored_with(&world, guid, &backup.backup_id).await, key);
    }
    let downloadable = "SELECT string_agg((k.is_own AND k.is_current)::text, ',' ORDER BY b.id) FROM backups b
        JOIN encryption_keys k ON k.id = b.encryption_key_id JOIN service_instances i ON i.id = b.service_instance_id WHERE guid = 'own'";
    assert_eq!(world.value(downloadable), "false,false,true");
    assert_eq!(world.value("SELECT retention_days FROM service_instances WHERE guid = 'own'"), "90");
    let next = world.done_backup(&own).await;
    assert_eq!(next.object_prefix, all[0].object_prefix);
    assert!(next.has_current_own_key);

    // What no broker names any more is deleted as of now, and still its owner's.
    let deleted = "SELECT state || ' ' || (deleted_at > now() - interval '1 hour') || ' ' || space_guid FROM service_instances WHERE guid = 'gone'";
    assert_eq!(world.value(deleted), "deleted true space-of-gone");
    let events = "SELECT count(*) FROM audit_events WHERE action = 'adopt_backup'";
    assert_eq!(world.value(events), "7");

    // Once more: nothing is left to do.
    let (again, found, _) = rebuild(&world, false).await;
    assert_eq!((found, again.known), (Vec::new(), 8));
    assert_eq!(world.value(events), "7");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_adopted_is_reported_with_its_reason_and_holds_up_nothing() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let mut made = Vec::new();
    for _ in 0..10 {
        made.push(world.done_backup(&guid).await);
    }
    let stranger = world.instance("i-2").await;
    let strangers = world.done_backup(&stranger).await;
    fs::remove_file(metadata(&world, &made[0])).unwrap();
    fs::write(metadata(&world, &made[1]), "{\"format_version\": 1").unwrap();
    edit(&world, &made[2], |value| value["format_version"] = 2.into());
    edit(&world, &made[3], |value| value["backup_id"] = made[4].backup_id.clone().into());
    fs::remove_file(world.folder(&made[4]).join("data.00002")).unwrap();
    fs::write(world.folder(&made[5]).join("data.00001"), "short").unwrap();
    edit(&world, &made[6], |value| drop(value.as_object_mut().unwrap().remove("key_envelope")));
    edit(&world, &made[7], |value| {
        let text = value["key_envelope"].as_str().unwrap().replace(".k1", ".of-2019");
        value["key_envelope"] = text.into();
    });
    let foreign = envelope(&world, &strangers);
    edit(&world, &made[8], |value| value["key_envelope"] = foreign);
    fs::create_dir_all(world.store.path().join(&made[0].object_prefix).join("not-a-backup")).unwrap();
    fs::create_dir_all(world.store.path().join("backups/strange folder/x")).unwrap();

    lose(&world);
    let (_, _, findings) = rebuild(&world, false).await;
    let outcome = |name: &str| {
        let found = findings.iter().find(|finding| finding.backup_id == name);
        found.map_or("none", |finding| finding.outcome.as_str())
    };
    let wanted = [
        "incomplete",
        "unreadable",
        "unreadable",
        "misplaced",
        "damaged",
        "damaged",
        "key_missing",
        "key_unavailable",
        "key_refused",
        "adopted",
    ];
    for (backup, wanted) in made.iter().zip(wanted) {
        assert_eq!(outcome(&backup.backup_id), wanted, "{findings:#?}");
    }
    assert_eq!((outcome("not-a-backup"), outcome(&strangers.backup_id)), ("misplaced", "adopted"));
    assert_eq!(world.value("SELECT count(*) FROM backups"), "2");
    let missing = findings.iter().find(|finding| finding.outcome == "key_missing").unwrap();
    assert_eq!(missing.instance.as_deref(), Some("i-1"));
    assert!(missing.detail.as_deref().unwrap().contains("key_envelope"), "{missing:?}");
    let sealed = findings.iter().find(|finding| finding.outcome == "key_unavailable").unwrap();
    assert!(sealed.detail.as_deref().unwrap().contains("of-2019"), "{sealed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_same_and_writes_no_row() {
    let world = World::new();
    let (kept, gone) = (world.instance("i-1").await, world.instance("i-2").await);
    for guid in [&kept, &gone, &gone] {
        world.done_backup(guid).await;
    }
    lose(&world);
    world.brokers[0].forget("i-2");
    let (_, found, _) = rebuild(&world, true).await;
    assert_eq!(found, outcomes(&[("adoptable", 3)]));
    assert_eq!(world.value("SELECT count(*) FROM backups"), "0");
    assert_eq!(world.value("SELECT string_agg(guid, ',') FROM service_instances"), "i-1");
    assert_eq!(world.value("SELECT count(*) FROM encryption_keys"), "1");
    let (_, found, _) = rebuild(&world, false).await;
    assert_eq!(found, outcomes(&[("adopted", 3)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_not_taken_for_deleted_while_its_broker_cannot_be_asked() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.done_backup(&guid).await;
    lose(&world);
    world.brokers[0].fail_page(1, Answer::Disconnect);
    let (_, found, _) = rebuild(&world, false).await;
    assert_eq!(found, outcomes(&[("broker_unavailable", 1)]));
    assert_eq!(world.value("SELECT count(*) FROM service_instances"), "0");
    world.brokers[0].heal();
    let (_, found, _) = rebuild(&world, false).await;
    assert_eq!(found, outcomes(&[("adopted", 1)]));
    assert_eq!(world.value("SELECT (deleted_at IS NULL)::text FROM service_instances"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_that_was_set_back_gets_what_it_is_missing() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let first = world.done_backup(&guid).await;
    set_own_key(&world, &guid, "set after the dump was taken").await;
    let lost = world.done_backup(&guid).await;
    // The dump knows neither the second backup nor the key, and the owner's retention is younger than both.
    lose_row(&world, &lost);
    world
        .database
        .execute(
            "DELETE FROM encryption_keys WHERE is_own; UPDATE encryption_keys SET is_current = true;
             SET session_replication_role = replica; DELETE FROM audit_events",
        )
        .unwrap();
    configure(&world, &guid, 30).await;
    // Meanwhile the next one runs: it has a row, and may have its metadata already.
    world.agent.plan(Plan::running());
    let running = world.request(&guid).await;
    world.settle().await;
    let (rebuilt, found, _) = rebuild(&world, false).await;
    assert_eq!((found, rebuilt.known), (outcomes(&[("adopted", 1)]), 1));
    assert_eq!(world.backup(&guid, running).await.status.as_str(), "running");
    assert_eq!(world.value("SELECT retention_days FROM service_instances"), "30");
    let names = world
        .value("SELECT string_agg(backup_id, ',' ORDER BY triggered_at) FROM backups WHERE status = 'done'");
    assert_eq!(names, format!("{},{}", first.backup_id, lost.backup_id));
    let adopted = world.value(&format!("SELECT id FROM backups WHERE backup_id = '{}'", lost.backup_id));
    assert!(world.backup(&guid, BackupId(adopted.parse().unwrap())).await.is_downloadable());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rebuilds_at_once_adopt_each_backup_once() {
    let world = World::new();
    for name in ["i-1", "i-2", "i-3"] {
        let guid = world.instance(name).await;
        world.done_backup(&guid).await;
        world.done_backup(&guid).await;
    }
    let before = world.value(CATALOGUE);
    lose(&world);
    world.synchronise().await;
    let first = request_rebuild(&world.manager, &Actor::worker(), None, false).await.unwrap();
    let second = request_rebuild(&world.manager, &Actor::worker(), None, false).await.unwrap();
    // One step claims both and runs them side by side.
    world.settle().await;
    let (one, two) = (ended(&world, first).await, ended(&world, second).await);
    let adopted = |outcomes: &[(String, i64)]| outcomes.iter().map(|(_, count)| count).sum::<i64>();
    assert_eq!(adopted(&one.1) + adopted(&two.1), 6, "{one:?} {two:?}");
    assert_eq!(world.value(CATALOGUE), before);
    assert_eq!(
        world.value("SELECT count(*) FROM encryption_keys"),
        "6",
        "a generated one and that of the backups, each once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_rebuild_goes_on_behind_the_last_folder() {
    let world = World::new();
    for name in ["i-1", "i-2"] {
        let guid = world.instance(name).await;
        world.done_backup(&guid).await;
    }
    lose(&world);
    world.synchronise().await;
    // As a worker leaves it that dies between two folders.
    let id = request_rebuild(&world.manager, &Actor::worker(), None, false).await.unwrap();
    let mut folders: Vec<String> = fs::read_dir(world.store.path().join("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    world
        .database
        .execute(&format!(
            "UPDATE catalogue_rebuilds SET status = 'running', started_at = now(), folders_total = 2, folders_done = 1,
                    position_store = 'local', position_folder = '{}'",
            folders[0]
        ))
        .unwrap();
    world.settle().await;
    let (rebuilt, found) = show_rebuild(&world.manager, id).await.unwrap();
    assert_eq!((rebuilt.folders_done, found), (2, outcomes(&[("adopted", 1)])));
    assert_eq!(world.value("SELECT object_prefix FROM backups"), format!("backups/{}", folders[1]));

    // As one leaves it that dies after the adoption, before the folder is done: it is not counted as known before.
    world
        .database
        .execute(
            "UPDATE catalogue_rebuilds SET status = 'running', finished_at = NULL, folders_done = 0, position_store = NULL,
                    position_folder = NULL",
        )
        .unwrap();
    world.enqueue(jobs::rebuild_catalogue(id));
    world.settle().await;
    let (rebuilt, found) = show_rebuild(&world.manager, id).await.unwrap();
    assert_eq!((rebuilt.known, found), (0, outcomes(&[("adopted", 2)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_nobodys_instance_or_of_another_data_service_is_refused() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    lose_row(&world, &backup);
    let found =
        examine(&world.manager, "local", &backup.object_prefix, &backup.backup_id).await.unwrap().unwrap();
    let mut conn = world.database.connection().unwrap();
    let settings = Settings {
        policy: Policy::default(),
        brokers: Vec::new(),
        stores: HashMap::new(),
        key_ring: world.manager.key_ring().clone(),
    };
    let mut refusal = || match adopt(&mut conn, &settings, &found, DateTime::UNIX_EPOCH).unwrap() {
        Adoption::Refused(obstacle) => obstacle.outcome.as_str(),
        adopted => panic!("{adopted:?}"),
    };
    world.database.execute("UPDATE service_instances SET data_service = 'mysql'").unwrap();
    assert_eq!(refusal(), "other_data_service");
    lose(&world);
    assert_eq!(refusal(), "broker_unknown");
    assert_eq!(world.value("SELECT count(*) FROM service_instances"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_at_which_the_store_goes_on_failing_holds_up_no_other() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let (good, bad) = (world.done_backup(&guid).await, world.done_backup(&guid).await);
    lose(&world);
    let path = metadata(&world, &bad);
    fs::remove_file(&path).unwrap();
    // To open it fails, and not because it were absent.
    std::os::unix::fs::symlink("metadata.json", &path).unwrap();
    let id = request_rebuild(&world.manager, &Actor::worker(), None, false).await.unwrap();
    // Attempts of the job itself, which may have been spent on anything, are not counted.
    world.settle().await;
    let (_, found, findings) = ended(&world, id).await;
    assert_eq!(found, outcomes(&[("adopted", 1), ("unreadable", 1)]), "{findings:?}");
    assert_eq!(world.value("SELECT backup_id FROM backups"), good.backup_id);
}
