//! The rule by table, and by random histories under random clocks.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn time(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + day * 86_400, 0).unwrap()
}

fn rule(min_backup_count: i32) -> RetentionRule {
    RetentionRule {
        deleted_at: None,
        min_backup_count,
        retention_days: 7,
        deleted_retention_days: 30,
        undo_window: Duration::from_secs(86_400),
    }
}

fn backup(id: i64, status: BackupStatus, day: i64) -> RetentionFacts {
    RetentionFacts {
        id: BackupId(id),
        status,
        was_done: status == BackupStatus::Done,
        triggered_at: time(day),
        finished_at: Some(time(day)),
        marked_deleted_at: None,
        remove_at_once: false,
        held_by_restore: false,
    }
}

fn marked(id: i64, day: i64, marked_on: i64) -> RetentionFacts {
    RetentionFacts {
        was_done: true,
        marked_deleted_at: Some(time(marked_on)),
        finished_at: Some(time(marked_on)),
        ..backup(id, BackupStatus::Deleted, day)
    }
}

fn actions(rule: &RetentionRule, backups: &[RetentionFacts], today: i64) -> Vec<&'static str> {
    plan(rule, backups, time(today)).into_iter().map(|decision| decision.action.as_str()).collect()
}

#[test]
fn a_backup_goes_only_when_it_is_old_and_enough_newer_done_ones_exist() {
    use BackupStatus::{Done, Failed, Queued, Running};
    let cases: [(&str, Vec<RetentionFacts>, i64, &str); 9] = [
        ("old, but the minimum", vec![backup(1, Done, 0), backup(2, Done, 1)], 100, "keep keep"),
        (
            "old and beyond it",
            vec![backup(1, Done, 0), backup(2, Done, 1), backup(3, Done, 2)],
            100,
            "mark keep keep",
        ),
        (
            "beyond it, but young",
            vec![backup(1, Done, 0), backup(2, Done, 1), backup(3, Done, 2)],
            7,
            "keep keep keep",
        ),
        (
            "failed ones do not count",
            vec![backup(1, Done, 0), backup(2, Failed, 90), backup(3, Done, 91)],
            92,
            "keep keep keep",
        ),
        ("an old failure goes alone", vec![backup(1, Failed, 0)], 8, "mark"),
        ("a young failure stays", vec![backup(1, Failed, 0)], 7, "keep"),
        ("unfinished ones stay", vec![backup(1, Queued, 0), backup(2, Running, 0)], 9999, "keep keep"),
        (
            "the clock went back",
            vec![backup(1, Done, 0), backup(2, Done, 1), backup(3, Done, 2)],
            -500,
            "keep keep keep",
        ),
        // By number 1 is the oldest, by time the newest: it stays, and so do the newest two by number.
        (
            "the future does not push out",
            vec![backup(1, Done, 900), backup(2, Done, 1), backup(3, Done, 2)],
            9999,
            "keep keep keep",
        ),
    ];
    for (what, backups, today, expected) in cases {
        assert_eq!(actions(&rule(2), &backups, today).join(" "), expected, "{what}");
    }
}

#[test]
fn no_minimum_and_no_days_let_everything_old_go() {
    let rule = RetentionRule { retention_days: 0, ..rule(0) };
    assert_eq!(actions(&rule, &[backup(1, BackupStatus::Done, 0)], 0), ["keep"]);
    assert_eq!(actions(&rule, &[backup(1, BackupStatus::Done, 0)], 1), ["mark"]);
}

#[test]
fn a_marked_backup_stays_for_the_undo_window_and_is_judged_again_after_it() {
    let newer = [backup(2, BackupStatus::Done, 50), backup(3, BackupStatus::Done, 51)];
    let with = |marked_on| [marked(1, 0, marked_on), newer[0], newer[1]];
    assert_eq!(actions(&rule(2), &with(100), 101), ["keep", "keep", "keep"]);
    assert_eq!(actions(&rule(2), &with(100), 102), ["remove", "keep", "keep"]);
    // Meanwhile the minimum was raised, or a newer one was deleted by its owner.
    assert_eq!(actions(&rule(3), &with(100), 102), ["keep", "keep", "keep"]);
    assert_eq!(actions(&rule(2), &[marked(1, 0, 100), newer[0]], 102), ["keep", "keep"]);
    // A failure needs no newer ones.
    let failure = RetentionFacts { was_done: false, ..marked(1, 0, 100) };
    assert_eq!(actions(&rule(5), &[failure], 102), ["remove"]);
}

#[test]
fn an_undeleted_backup_is_young_again() {
    let undeleted = RetentionFacts { finished_at: Some(time(100)), ..backup(1, BackupStatus::Done, 0) };
    assert_eq!(actions(&rule(0), &[undeleted], 104), ["keep"]);
    assert_eq!(actions(&rule(0), &[undeleted], 108), ["mark"]);
}

#[test]
fn backups_of_a_deleted_instance_are_marked_at_once_and_removed_after_their_days() {
    let gone = RetentionRule { deleted_at: Some(time(10)), ..rule(5) };
    let all = [backup(1, BackupStatus::Done, 9), backup(2, BackupStatus::Failed, 9), marked(3, 0, 9)];
    assert_eq!(actions(&gone, &all, 10), ["mark", "mark", "keep"]);
    assert_eq!(actions(&gone, &[marked(3, 0, 9)], 40), ["keep"]);
    assert_eq!(actions(&gone, &[marked(3, 0, 9)], 41), ["remove"]);
    assert_eq!(actions(&gone, &[backup(4, BackupStatus::Running, 0)], 999), ["keep"]);
}

#[test]
fn a_restore_holds_its_backup_against_everything_and_a_request_overrules_the_rest() {
    let requested = RetentionFacts { remove_at_once: true, ..marked(1, 99, 100) };
    assert_eq!(actions(&rule(5), &[requested], 100), ["remove"]);
    let held = RetentionFacts { held_by_restore: true, ..requested };
    assert_eq!(actions(&rule(5), &[held], 9999), ["keep"]);
    let gone = RetentionRule { deleted_at: Some(time(0)), ..rule(0) };
    let held = RetentionFacts { held_by_restore: true, ..backup(1, BackupStatus::Done, 0) };
    assert_eq!(actions(&gone, &[held], 9999), ["keep"]);
}

#[test]
fn spans_no_calendar_holds_keep_everything() {
    let eternal = RetentionRule { retention_days: i32::MAX, undo_window: Duration::MAX, ..rule(0) };
    assert_eq!(
        actions(&eternal, &[backup(1, BackupStatus::Done, 0), marked(2, 0, 1)], 99_999),
        ["keep", "keep"]
    );
}

#[test]
fn every_reason_is_a_sentence() {
    let text = RetentionReason::Needed { newer: 2, required: 5 }.to_string();
    assert_eq!(text, "only 2 newer done backups exist, 5 are required");
}

#[derive(Debug, Clone)]
enum Step {
    Add { done: bool },
    Clock { day: i64 },
    Apply,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => any::<bool>().prop_map(|done| Step::Add { done }),
        2 => (-20_000_i64..20_000).prop_map(|day| Step::Clock { day }),
        3 => Just(Step::Apply),
    ];
    prop::collection::vec(step, 1..60)
}

fn newest(backups: &[RetentionFacts], count: usize) -> BTreeSet<BackupId> {
    let mut done: Vec<_> = backups.iter().filter(|b| b.status == BackupStatus::Done).collect();
    done.sort_by_key(|b| b.id);
    let by_id = done.iter().rev().take(count).map(|b| b.id).collect::<Vec<_>>();
    done.sort_by_key(|b| (b.triggered_at, b.id));
    done.iter().rev().take(count).map(|b| b.id).chain(by_id).collect()
}

fn apply(backups: &mut Vec<RetentionFacts>, rule: &RetentionRule, now: DateTime<Utc>) {
    for decision in plan(rule, backups, now) {
        match decision.action {
            RetentionAction::Keep => {}
            RetentionAction::Mark => {
                for backup in backups.iter_mut().filter(|b| b.id == decision.id) {
                    backup.status = BackupStatus::Deleted;
                    backup.marked_deleted_at = Some(now);
                    backup.finished_at = Some(now);
                }
            }
            RetentionAction::Remove => backups.retain(|b| b.id != decision.id),
        }
    }
}

proptest! {
    #[test]
    fn the_newest_done_backups_survive_any_sequence_under_any_clock(
        steps in steps(), min in 0_i32..6, days in 0_i32..10,
    ) {
        let rule = RetentionRule { retention_days: days, ..rule(min) };
        let count = usize::try_from(min).unwrap();
        let (mut backups, mut now, mut last) = (Vec::new(), time(0), 0);
        for step in steps {
            match step {
                Step::Add { done } => {
                    last += 1;
                    let status = if done { BackupStatus::Done } else { BackupStatus::Failed };
                    let at = Some(now);
                    backups.push(RetentionFacts { triggered_at: now, finished_at: at, ..backup(last, status, 0) });
                }
                Step::Clock { day } => now = time(day),
                Step::Apply => {
                    let protected = newest(&backups, count);
                    apply(&mut backups, &rule, now);
                    let alive: BTreeSet<_> =
                        backups.iter().filter(|b| b.status == BackupStatus::Done).map(|b| b.id).collect();
                    prop_assert!(protected.is_subset(&alive), "{protected:?} were promised, {alive:?} are left");
                }
            }
        }
    }

    #[test]
    fn what_is_expired_is_gone_after_two_runs(count in 1_i64..40, min in 0_i32..6) {
        let mut backups: Vec<_> = (1..=count).map(|id| backup(id, BackupStatus::Done, id)).collect();
        apply(&mut backups, &rule(min), time(1000));
        apply(&mut backups, &rule(min), time(1002));
        prop_assert_eq!(i64::try_from(backups.len()).unwrap(), count.min(i64::from(min)));
    }
}
