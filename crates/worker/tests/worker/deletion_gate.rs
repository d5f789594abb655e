//! The gate of deletions at work: what was shown is what is done, what was begun is finished, what is held stays.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use backup_core::Error;
use backup_core::Policy;
use backup_core::actions::delete_backup::delete_backup;
use backup_core::actions::hold_backup::hold_backup;
use backup_core::actions::inspect;
use backup_core::actions::plan_deletions::preview_deletions;
use backup_core::actions::release_backup::release_backup;
use backup_core::actions::undelete_backup::undelete_backup;
use backup_core::domain::actor::Actor;
use backup_core::domain::deletion::RetentionAction;
use backup_core::domain::identifiers::{BackupId, ServiceInstanceGuid};
use backup_core::jobs::DeletionStep;
use chrono::{DateTime, TimeDelta, Utc};

use crate::backup_deleter_job::{DAY, run, statuses, with_backups};
use crate::world::World;

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// An instance of any configuration with backups in any state and of any age, in any order.
fn seed(world: &World, numbers: &mut Numbers, number: usize) -> ServiceInstanceGuid {
    let database = &world.database;
    let instance = database.seed_instance("broker-0", &format!("g-{number}")).unwrap();
    let mut sql = String::from("SET session_replication_role = replica;");
    if numbers.one_in(2) {
        let (count, days) = (numbers.below(4), numbers.below(8));
        sql += &format!(
            "UPDATE service_instances SET min_backup_count = {count}, retention_days = {days} WHERE id = {};",
            instance.id
        );
    }
    if numbers.one_in(4) {
        let days = numbers.below(60);
        sql += &format!(
            "UPDATE service_instances SET state = 'deleted', deleted_at = now() - interval '{days} days' WHERE id = {};",
            instance.id
        );
    }
    for _ in 0..numbers.below(10) {
        let status = ["queued", "failed", "done", "done", "done", "deleted", "deleted"]
            [usize::try_from(numbers.below(7)).unwrap()];
        let id =
            database.seed_backup(&instance, status, i32::try_from(numbers.below(12)).unwrap()).unwrap().id;
        if status == "deleted" && numbers.one_in(5) {
            sql += &format!("UPDATE backups SET removal_reason = 'it was begun before' WHERE id = {id};");
        } else if matches!(status, "done" | "deleted") && numbers.one_in(4) {
            let until = ["NULL", "now() + interval '1 day'", "now() - interval '1 day'"]
                [usize::try_from(numbers.below(3)).unwrap()];
            sql += &format!(
                "INSERT INTO holds (backup_row_id, reason, held_by, is_operators, held_until) VALUES ({id}, 'r', 'olga', false, {until});"
            );
        } else if status == "done" && numbers.one_in(8) {
            sql += &format!(
                "INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id)
                 VALUES ({}, {id}, 'b', now(), gen_random_uuid()::text) ON CONFLICT DO NOTHING;",
                instance.id
            );
        }
    }
    database.execute(&sql).unwrap();
    ServiceInstanceGuid::parse(&instance.guid).unwrap()
}

/// Number → word, over all backups.
type Words = BTreeMap<i64, String>;

/// What the dry run shows for this action: number and reason.
async fn shown(world: &World, guids: &[ServiceInstanceGuid], action: RetentionAction) -> Words {
    let mut all = Words::new();
    for guid in guids {
        let instance = inspect::instance(&world.manager, guid).await.unwrap();
        let preview = preview_deletions(&world.manager, &instance).await.unwrap();
        let chosen = preview.newest.into_iter().filter(|planned| planned.decision.action == action);
        all.extend(chosen.map(|planned| (planned.backup.id.0, planned.decision.reason.to_string())));
    }
    all
}

/// Number and reason of the audit trail's events of this kind.
fn recorded(world: &World, action: &str) -> Words {
    let sql = format!(
        "SELECT string_agg(subject, chr(10)) FROM audit_events WHERE action = '{action}' AND actor = 'worker'"
    );
    let of = |line: &str| {
        let (id, reason) = line.strip_prefix("backup ").unwrap().split_once(": ").unwrap();
        (id.parse().unwrap(), reason.to_owned())
    };
    world.value(&sql).lines().map(of).collect()
}

fn all(world: &World) -> Words {
    let list = world.value("SELECT string_agg(id || ' ' || status, ',') FROM backups");
    let of = |entry: &str| {
        let (id, status) = entry.split_once(' ').unwrap();
        (id.parse().unwrap(), status.to_owned())
    };
    list.split(',').map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dry_run_shows_is_what_the_next_run_does_for_the_reason_that_was_shown() {
    let world = World::with(1, Policy { min_backup_count: 2, retention_days: 3, ..Policy::default() });
    let mut numbers = Numbers(4);
    let guids: Vec<_> = (0..40).map(|number| seed(&world, &mut numbers, number)).collect();
    let (marks, removals) = (
        shown(&world, &guids, RetentionAction::Mark).await,
        shown(&world, &guids, RetentionAction::Remove).await,
    );
    assert!(marks.len() > 10 && removals.len() > 10, "{marks:?} {removals:?}");
    let mut expected = all(&world);

    run(&world, DeletionStep::Mark).await;
    for id in marks.keys() {
        expected.insert(*id, "deleted".to_owned());
    }
    assert_eq!(all(&world), expected);
    assert_eq!(recorded(&world, "mark_backup"), marks);
    assert_eq!(shown(&world, &guids, RetentionAction::Mark).await, Words::new());
    // What was to be removed still is; only backups of an instance deleted long ago need no longer than their mark.
    let after_marks = shown(&world, &guids, RetentionAction::Remove).await;
    assert!(
        removals.iter().all(|(id, reason)| after_marks.get(id) == Some(reason)),
        "{removals:?} {after_marks:?}"
    );
    assert!(
        after_marks.keys().all(|id| removals.contains_key(id) || marks.contains_key(id)),
        "{after_marks:?}"
    );
    let removals = after_marks;

    run(&world, DeletionStep::Remove).await;
    expected.retain(|id, _| !removals.contains_key(id));
    assert_eq!(all(&world), expected);
    assert_eq!(recorded(&world, "remove_backup"), removals);
    assert_eq!(shown(&world, &guids, RetentionAction::Remove).await, Words::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_asked_until_it_confirms_and_blocks_no_other() {
    let (world, guid, backups) = with_backups(4).await;
    world.leap(4 * DAY).await;
    run(&world, DeletionStep::Mark).await;
    world.leap(2 * DAY).await;
    // A link that leads to itself cannot be listed, so nothing confirms that the folder is empty.
    let link = world.folder(&backups[1]).join("loop");
    symlink(&link, &link).unwrap();
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "deleted,done,done", "the other one is gone");
    assert_ne!(world.value("SELECT removal_error FROM backups WHERE removal_error IS NOT NULL"), "");
    // What was begun is neither taken back nor held, and is finished even if the rule has become stricter.
    let (actor, id) = (Actor::worker(), backups[1].id);
    let undeleted = undelete_backup(&world.manager, &actor, &guid, id).await;
    assert!(matches!(undeleted, Err(Error::NotUndeletable(_))), "{undeleted:?}");
    let held = hold_backup(&world.manager, &actor, &guid, id, "too late".into(), None).await;
    assert!(matches!(held, Err(Error::NotHoldable(_))), "{held:?}");
    world.database.execute("UPDATE service_instances SET min_backup_count = 100").unwrap();

    let unfinished = "SELECT count(*) FROM jobs WHERE queue = 'backup_deleter_job'";
    assert_eq!(world.value(unfinished), "1", "it is tried again");
    world
        .database
        .execute("UPDATE jobs SET attempt = max_attempts - 1 WHERE queue = 'backup_deleter_job'")
        .unwrap();
    world.leap(DAY).await;
    assert_eq!(world.value(unfinished), "0", "its attempts are used up");
    run(&world, DeletionStep::Remove).await;
    assert_eq!(
        (statuses(&world).as_str(), world.value(unfinished).as_str()),
        ("deleted,done,done", "1"),
        "the hourly run tries again"
    );
    std::fs::remove_file(&link).unwrap();
    world.leap(DAY).await;
    assert_eq!(statuses(&world), "done,done");
    assert!(!world.folder(&backups[1]).exists());
    let reasons = recorded(&world, "remove_backup");
    assert!(
        reasons.values().all(|reason| reason == "it was marked and the time to undelete it is over"),
        "{reasons:?}"
    );
    assert_eq!(reasons.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_was_killed_between_objects_and_row_is_finished() {
    let (world, _, backups) = with_backups(3).await;
    world.leap(4 * DAY).await;
    run(&world, DeletionStep::Mark).await;
    world.leap(2 * DAY).await;
    let kill = "CREATE FUNCTION kill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'killed'; END $$;
                CREATE TRIGGER kill BEFORE DELETE ON backups FOR EACH ROW EXECUTE FUNCTION kill()";
    world.database.execute(kill).unwrap();
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "deleted,done,done");
    assert!(!world.folder(&backups[0]).exists(), "the objects are gone");
    world.database.execute("DROP TRIGGER kill ON backups").unwrap();
    world.leap(DAY).await;
    assert_eq!(statuses(&world), "done,done");
    assert_eq!(recorded(&world, "remove_backup").len(), 1);
}

async fn hold(world: &World, guid: &ServiceInstanceGuid, id: BackupId, until: Option<DateTime<Utc>>) {
    hold_backup(&world.manager, &Actor::worker(), guid, id, "case 7".into(), until).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_backup_stays_until_it_is_released_or_its_time_is_over() {
    let (world, guid, backups) = with_backups(4).await;
    let (first, second) = (backups[0].id, backups[1].id);
    hold(&world, &guid, first, None).await;
    hold(&world, &guid, second, Some(Utc::now() + TimeDelta::days(10))).await;
    world.leap(4 * DAY).await;
    run(&world, DeletionStep::Mark).await;
    assert_eq!(statuses(&world), "done,done,done,done");
    let refused = delete_backup(&world.manager, &Actor::worker(), &guid, first).await;
    assert!(matches!(refused, Err(Error::BackupHeld { .. })), "{refused:?}");
    world.leap(7 * DAY).await;
    run(&world, DeletionStep::Mark).await;
    assert_eq!(statuses(&world), "done,deleted,done,done", "the time of the second is over");

    // One that is marked already stays, too, and goes when it is released: its undo window is long over.
    hold(&world, &guid, second, None).await;
    world.leap(2 * DAY).await;
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "done,deleted,done,done");
    let released = release_backup(&world.manager, &Actor::worker(), &guid, second).await.unwrap();
    assert_eq!(released.unwrap().reason, "case 7");
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "done,done,done");

    // Nor does it go with its instance.
    world.brokers[0].change(guid.as_str(), |resource| resource.deleted("2026-01-01T00:00:00Z"));
    world.synchronise().await;
    assert_eq!(statuses(&world), "done,deleted,deleted");
    world.leap(40 * DAY).await;
    run(&world, DeletionStep::Remove).await;
    assert_eq!(statuses(&world), "done");
    assert!(world.folder(&backups[0]).exists());
    release_backup(&world.manager, &Actor::worker(), &guid, first).await.unwrap();
    for step in [DeletionStep::Mark, DeletionStep::Remove] {
        run(&world, step).await;
    }
    assert_eq!(statuses(&world), "");
    assert!(!world.folder(&backups[0]).exists());
}
