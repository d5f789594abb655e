//! Queue `update_instance_state_job`, kind `reconcile`: the three ledgers compared, with a real store and a fake agent.

use std::fs;
use std::path::Path;
use std::time::Duration;

use backup_core::Policy;
use backup_core::actions::adopt_operations::adopt_operations;
use backup_core::actions::request_rebuild::{request_rebuild, show_rebuild};
use backup_core::actions::request_reconciliation::{
    list_remarks, request_reconciliation, show_reconciliation,
};
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::domain::reconciliation::{Class, Reconciliation, Remark, Scope};
use backup_core::jobs;
use backup_testkit::{AgentFault, Answer, Plan};
use serde_json::json;

use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

/// Lets time pass for the database, and for everything that is in the store.
async fn leap(world: &World, time: Duration) {
    age(world.store.path(), time);
    world.leap(time).await;
}

fn age(folder: &Path, time: Duration) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path(), time);
        } else {
            let file = fs::File::options().write(true).open(entry.path()).unwrap();
            file.set_modified(entry.metadata().unwrap().modified().unwrap() - time).unwrap();
        }
    }
}

async fn reconcile(world: &World, scope: Scope) -> (Reconciliation, Vec<Remark>) {
    let id = request_reconciliation(&world.manager, &Actor::worker(), scope).await.unwrap();
    world.settle().await;
    let run = show_reconciliation(&world.manager, Some(id)).await.unwrap();
    assert_eq!(run.status, "done", "{:?}", run.msg);
    let remarks = list_remarks(&world.manager, id, 0, 100).await.unwrap();
    (run, remarks.into_iter().map(|(_, remark)| remark).collect())
}

/// Kinds and subjects of what differs, sorted.
async fn differences(world: &World) -> Vec<(String, String)> {
    let (run, remarks) = reconcile(world, Scope::default()).await;
    let mut found: Vec<_> = remarks
        .into_iter()
        .filter(|remark| remark.class == Class::Difference)
        .map(|remark| (remark.kind, remark.subject))
        .collect();
    found.sort();
    assert_eq!(run.counts.values().sum::<i64>(), i64::try_from(found.len()).unwrap());
    found
}

fn named(backup: &Backup) -> String {
    format!("backup {} ({})", backup.id, backup.backup_id)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A folder beside a backup's, with the same content and another name.
fn beside(world: &World, backup: &Backup, name: &str) -> (std::path::PathBuf, String) {
    let folder = world.folder(backup).with_file_name(name);
    copy(&world.folder(backup), &folder);
    (folder, format!("local:{}/{name}", backup.object_prefix))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_at_work_has_no_difference() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.done_backup(&guid).await;
    world.agent.plan(Plan::failed("data_service_error", "broken"));
    world.request(&guid).await;
    world.pass(12).await;
    world.agent.plan(Plan::running());
    let (running, queued) = (world.request(&guid).await, world.request(&guid).await);
    world.settle().await;
    leap(&world, 2 * HOUR).await;
    assert_eq!(world.backup(&guid, running).await.status.as_str(), "running");
    assert_eq!(world.backup(&guid, queued).await.status.as_str(), "queued");
    let (run, remarks) = reconcile(&world, Scope::default()).await;
    assert_eq!(remarks, []);
    assert_eq!((run.instances_done, run.instances_total, run.not_compared, run.notes), (1, 1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_lacks_or_has_too_much_is_found() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let lost = world.done_backup(&guid).await;
    let short = world.done_backup(&guid).await;
    let forged = world.done_backup(&guid).await;
    let blind = world.done_backup(&guid).await;
    let (_, unknown) = beside(&world, &lost, "another-1");
    let (remains, partial) = beside(&world, &lost, "another-2");
    fs::remove_file(remains.join("metadata.json")).unwrap();
    let alien = world.store.path().join("backups/nobody/nobody-1");
    copy(&world.folder(&lost), &alien);
    fs::remove_dir_all(world.folder(&lost)).unwrap();
    fs::write(world.folder(&short).join("data.00002"), "x").unwrap();
    fs::remove_file(world.folder(&blind).join("metadata.json")).unwrap();
    let path = world.folder(&forged).join("metadata.json");
    let text = fs::read_to_string(&path).unwrap();
    let checksum = forged.checksum.clone().unwrap();
    fs::write(&path, text.replace(&checksum, &checksum.replace(|c: char| c.is_ascii_digit(), "a"))).unwrap();
    let of_rows = vec![
        ("checksum_mismatch".to_owned(), named(&forged)),
        ("row_without_object".to_owned(), named(&lost)),
        ("row_without_object".to_owned(), named(&blind)),
        ("size_mismatch".to_owned(), named(&short)),
    ];
    assert_eq!(differences(&world).await, of_rows, "objects of the last hour may be somebody's work");
    leap(&world, 2 * HOUR).await;
    let mut all = of_rows;
    all.extend([
        ("object_without_row".to_owned(), unknown),
        ("object_without_row".to_owned(), partial),
        ("unknown_folder".to_owned(), "local:backups/nobody/nobody-1".to_owned()),
    ]);
    all.sort();
    assert_eq!(differences(&world).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_knows_better_is_found() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let ahead = world.done_backup(&guid).await;
    let untidy = world.done_backup(&guid).await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    let running = world.backup(&guid, id).await;
    world.agent.doctor(&ahead.backup_id, |operation| operation.epoch += 5);
    world.agent.doctor(&untidy.backup_id, |operation| {
        operation.cleanup_pending = true;
        operation.finished_at = operation.finished_at.map(|at| at - HOUR);
    });
    world.agent.doctor(&running.backup_id, |operation| operation.id = "stranger".into());
    leap(&world, HOUR).await;
    let expected = [
        ("clean_up_pending_at_agent", format!("backup {}", untidy.backup_id)),
        ("epoch_ahead_at_agent", format!("backup {}", ahead.backup_id)),
        ("operation_unknown_to_agent", format!("backup {}", running.backup_id)),
        ("operation_unknown_to_database", "backup stranger".to_owned()),
    ];
    let expected: Vec<_> = expected.map(|(kind, subject)| (kind.to_owned(), subject)).into();
    assert_eq!(differences(&world).await, expected);
    world.agent.doctor(&running.backup_id, |operation| operation.id = running.backup_id.clone());
    let sql = "UPDATE backups SET status = 'failed', reason_code = 'timed_out' WHERE status = 'running'";
    world.database.execute(sql).unwrap();
    leap(&world, HOUR).await;
    let ended = ("operation_ended_in_database".to_owned(), format!("backup {}", running.backup_id));
    assert!(differences(&world).await.contains(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_not_compared_and_never_fine() {
    let mut world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    world.agent.fail_list(AgentFault::Instead(Answer::Text(200, "<html>".into())));
    let (run, remarks) = reconcile(&world, Scope::default()).await;
    assert_eq!((run.not_compared, remarks.len()), (1, 1));
    assert_eq!((remarks[0].kind.as_str(), remarks[0].instance.as_deref()), ("agent", Some("i-1")));
    world.agent.down();
    let (run, _) = reconcile(&world, Scope::default()).await;
    assert_eq!((run.not_compared, run.counts.len()), (1, 0));
    world.agent.up().unwrap();
    world.agent.without_journal();
    let (run, remarks) = reconcile(&world, Scope::default()).await;
    assert_eq!((run.not_compared, run.notes, remarks[0].kind.as_str()), (0, 1, "journal"));
    // A folder that is a file cannot be listed, and nothing is said about what should be in it.
    let folder = world.folder(&backup).parent().unwrap().to_owned();
    fs::remove_dir_all(&folder).unwrap();
    world.database.execute("UPDATE backups SET store = 'elsewhere'").unwrap();
    let (run, remarks) = reconcile(&world, Scope::default()).await;
    assert_eq!((run.not_compared, run.counts.len()), (1, 0), "{remarks:?}");
    assert!(remarks.iter().any(|remark| remark.kind == "store"), "{remarks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_finishes_between_the_reads_is_no_difference() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let good = world.done_backup(&guid).await;
    world.agent.plan(Plan::running());
    let id = world.request(&guid).await;
    world.settle().await;
    let late = world.backup(&guid, id).await;
    let empty = Box::new(Answer::Json(200, json!({"operations": [], "next": null})));
    world.agent.fail_list(AgentFault::Instead(Answer::Slow(Duration::from_secs(2), empty)));
    let asked = || world.agent.requests().iter().filter(|request| request.path == "/v1/operations").count();
    let finish = async {
        // The store has been read when the agent is asked.
        while asked() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        copy(&world.folder(&good), &world.folder(&late));
        let path = world.folder(&late).join("metadata.json");
        let text = fs::read_to_string(&path).unwrap().replace(&good.backup_id, &late.backup_id);
        fs::write(path, text).unwrap();
        let sql = format!(
            "UPDATE backups SET status = 'done', size = {}, checksum = '{}' WHERE id = {}",
            good.size,
            good.checksum.as_ref().unwrap(),
            late.id
        );
        world.database.execute(&sql).unwrap();
    };
    let ((run, remarks), ()) = tokio::join!(reconcile(&world, Scope::default()), finish);
    assert_eq!((remarks, run.not_compared), (Vec::new(), 0));
    assert_eq!(asked(), 2, "it was suspected, and looked at again");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_deep_one_sees_that_bytes_have_changed() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let (sound, rotten) = (world.done_backup(&guid).await, world.done_backup(&guid).await);
    let path = world.folder(&rotten).join("data.00001");
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 1;
    fs::write(path, bytes).unwrap();
    assert_eq!(differences(&world).await, []);
    let scope = Scope { is_deep: true, instance: Some(guid), ..Scope::default() };
    let (_, remarks) = reconcile(&world, scope).await;
    let found: Vec<_> =
        remarks.iter().map(|remark| (remark.kind.as_str(), remark.subject.as_str())).collect();
    assert_eq!(found, [("checksum_mismatch", named(&rotten).as_str())], "{}", sound.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn repairs_remove_remains_and_stop_strangers_and_never_touch_a_whole_backup() {
    let world = World::with(1, Policy { operation_timeout: 100 * HOUR, ..Policy::default() });
    let guid = world.instance("i-1").await;
    let good = world.done_backup(&guid).await;
    let (whole, _) = beside(&world, &good, "another-1");
    let (remains, _) = beside(&world, &good, "another-2");
    let alien = world.store.path().join("backups/nobody/nobody-1");
    copy(&world.folder(&good), &alien);
    for folder in [&remains, &alien] {
        fs::remove_file(folder.join("metadata.json")).unwrap();
    }
    let repair = || Scope { is_repair: true, ..Scope::default() };
    leap(&world, 50 * HOUR).await;
    let (_, remarks) = reconcile(&world, repair()).await;
    assert_eq!(remarks.len(), 3, "{remarks:?}");
    assert!(remains.exists() && alien.exists(), "within the deadline an agent could still write them");
    world.agent.plan(Plan::running());
    world.request(&guid).await;
    world.settle().await;
    let name = world.agent.operations().last().unwrap().id.clone();
    world.agent.doctor(&name, |operation| operation.id = "stranger".into());
    leap(&world, 60 * HOUR).await;
    let dry = reconcile(&world, Scope::default()).await.1;
    assert!(remains.exists() && dry.iter().all(|remark| remark.outcome.is_none()), "{dry:?}");
    let (_, remarks) = reconcile(&world, repair()).await;
    let outcome = |subject: &str| {
        let found = remarks.iter().find(|remark| remark.subject.ends_with(subject));
        found.and_then(|remark| remark.outcome.clone()).unwrap_or_else(|| panic!("{subject}: {remarks:?}"))
    };
    assert_eq!(outcome("another-2"), "removed");
    assert!(outcome("nobody-1").starts_with("not yet") && alien.exists(), "nobody can be asked about it");
    assert!(outcome("another-1").starts_with("not adopted"), "{remarks:?}");
    assert!(outcome("stranger").contains("stop"), "{remarks:?}");
    age(&alien, 60 * HOUR);
    reconcile(&world, repair()).await;
    assert!(!remains.exists() && !alien.exists() && whole.exists() && world.folder(&good).exists());
    let stops = world.agent.requests();
    assert!(stops.iter().any(|r| r.method == "DELETE" && r.path == "/v1/backups/stranger"));
    let events = world.value("SELECT count(*) FROM audit_events WHERE action = 'repair_difference'");
    assert_ne!(events, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_backup_has_left_unnoticed_is_given_to_the_deleter() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let good = world.done_backup(&guid).await;
    world.agent.plan(Plan::failed("data_service_error", "broken"));
    let id = world.request(&guid).await;
    world.pass(20).await;
    let failed = world.backup(&guid, id).await;
    assert!(!failed.has_remains, "{failed:?}");
    copy(&world.folder(&good), &world.folder(&failed));
    fs::remove_file(world.folder(&failed).join("metadata.json")).unwrap();
    leap(&world, 2 * HOUR).await;
    let (_, remarks) = reconcile(&world, Scope { is_repair: true, ..Scope::default() }).await;
    assert_eq!(remarks[0].kind, "objects_of_failed_backup", "{remarks:?}");
    world.pass(5).await;
    assert!(!world.folder(&failed).exists());
    assert_eq!(differences(&world).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedules_run_is_one_run_and_old_ones_are_forgotten() {
    let world = World::new();
    for number in 0..20 {
        world.brokers[0].add(
            backup_testkit::Resource::available(number, &format!("i-{number}")).agent(&world.agent.url()),
        );
    }
    world.synchronise().await;
    for _ in 0..32 {
        world.enqueue(jobs::reconcile(None));
        world.settle().await;
    }
    assert_eq!(world.value("SELECT count(*) FROM reconciliations"), "30");
    let last = show_reconciliation(&world.manager, None).await.unwrap();
    assert_eq!((last.requested_by.as_str(), last.status.as_str()), ("worker", "done"));
    assert_eq!((last.instances_done, last.instances_total), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_records_nothing_of_its_comparison() {
    let world = World::new();
    world.instance("i-1").await;
    world.enqueue(jobs::reconcile(None));
    let mut connection = world.database.connection().unwrap();
    let job = world.claim_due(&mut connection);
    world.database.advance(Duration::from_secs(120)).unwrap();
    world.settle().await;
    world.pass(5).await;
    let done = show_reconciliation(&world.manager, None).await.unwrap();
    assert_eq!(done.status, "done", "somebody else went on with it");
    let late = backup_core::actions::reconcile::reconcile(&world.manager, &job, None).await;
    assert!(matches!(late, Err(backup_core::Error::LeaseLost)), "{late:?}");
    assert_eq!(show_reconciliation(&world.manager, None).await.unwrap(), done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_job_is_lost_gets_another() {
    let world = World::new();
    world.instance("i-1").await;
    let worker = Actor::worker();
    let ask = || request_reconciliation(&world.manager, &worker, Scope::default());
    let status = async |id| show_reconciliation(&world.manager, Some(id)).await.unwrap().status;
    let asked = ask().await.unwrap();
    world.database.execute("DELETE FROM jobs").unwrap();
    assert_eq!(ask().await.unwrap(), asked, "it is unfinished");
    world.settle().await;
    assert_eq!(status(asked).await, "done");

    // Nobody asks again: the sweep finds them.
    let asked = ask().await.unwrap();
    let rebuild = request_rebuild(&world.manager, &worker, None, true).await.unwrap();
    let scheduled = "INSERT INTO reconciliations (job_id, requested_by, is_repair, is_deep, status)
        VALUES ((SELECT max(id) FROM jobs), 'worker', false, false, 'running')";
    world.database.execute(scheduled).unwrap();
    assert_eq!(adopt_operations(&world.manager).await.unwrap(), 0);
    world.database.execute("DELETE FROM jobs").unwrap();
    assert_eq!(adopt_operations(&world.manager).await.unwrap(), 3);
    assert_eq!(adopt_operations(&world.manager).await.unwrap(), 0);
    world.settle().await;
    assert_eq!(status(asked).await, "done");
    assert_eq!(world.value("SELECT count(*) FROM reconciliations WHERE status <> 'done'"), "0");
    assert_eq!(show_rebuild(&world.manager, rebuild).await.unwrap().0.status.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_one_hashes_a_part_at_a_time_and_goes_on_behind_the_last() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    let backup = world.done_backup(&guid).await;
    let rot = |part: &str| {
        let path = world.folder(&backup).join(part);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    // As a worker leaves it that dies behind the first part.
    let go_on = async || {
        let scope = Scope { is_deep: true, ..Scope::default() };
        let id = request_reconciliation(&world.manager, &Actor::worker(), scope).await.unwrap();
        let sql =
            "UPDATE reconciliations SET status = 'running', started_at = now(), phase = 'bytes', position = ";
        let sql = format!("{sql} '{}/1' WHERE id = {id}", backup.id);
        world.database.execute(&sql).unwrap();
        world.settle().await;
        list_remarks(&world.manager, id, 0, 100).await.unwrap()
    };
    rot("data.00001");
    assert_eq!(go_on().await, []);
    rot("data.00002");
    let (_, remark) = go_on().await.remove(0);
    assert_eq!((remark.kind.as_str(), remark.subject), ("checksum_mismatch", named(&backup)));
    assert!(remark.details.contains("data.00002"), "{}", remark.details);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_asks_the_brokers_before_it_takes_an_instance_for_deleted() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.done_backup(&guid).await;
    // An older dump: the broker has been asked, but before there was the instance.
    let sql = "SET session_replication_role = replica; TRUNCATE backups, restores, running_operations, encryption_keys,
        service_instances RESTART IDENTITY CASCADE";
    world.database.execute(sql).unwrap();
    age(world.store.path(), 2 * HOUR);
    world.brokers[0].fail_page(1, Answer::Disconnect);
    let repair = || Scope { is_repair: true, ..Scope::default() };
    let (_, remarks) = reconcile(&world, repair()).await;
    assert!(remarks[0].outcome.as_ref().unwrap().contains("could not be asked"), "{remarks:?}");
    assert_eq!(world.value("SELECT count(*) FROM service_instances"), "0");
    world.brokers[0].heal();
    let (_, remarks) = reconcile(&world, repair()).await;
    let outcomes: Vec<_> = remarks.iter().filter_map(|remark| remark.outcome.as_deref()).collect();
    assert!(outcomes.iter().any(|outcome| outcome.starts_with("adopted as backup")), "{remarks:?}");
    assert_eq!(world.value("SELECT (deleted_at IS NULL)::text FROM service_instances"), "true");
}
