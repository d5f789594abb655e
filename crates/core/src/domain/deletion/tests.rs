//! The gate by table; by random histories in `histories.rs`.

use std::time::Duration;

use chrono::DateTime;

use super::*;
use crate::domain::hold::Hold;

pub(super) fn time(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + day * 86_400, 0).unwrap()
}

pub(super) fn rule(min_backup_count: i32) -> DeletionRule {
    DeletionRule {
        deleted_at: None,
        min_backup_count,
        retention_days: 7,
        deleted_retention_days: 30,
        undo_window: Duration::from_secs(86_400),
        promises_moments: false,
        clients_may_go_below_minimum: true,
    }
}

pub(super) fn backup(id: i64, status: BackupStatus, day: i64) -> DeletionFacts {
    DeletionFacts {
        id: BackupId(id),
        status,
        was_done: status == BackupStatus::Done,
        triggered_at: time(day),
        finished_at: Some(time(day)),
        marked_deleted_at: None,
        removal_reason: None,
        window_start: None,
        is_used_by_restore: false,
        is_used_by_rehearsal: false,
        hold: None,
        has_remains: false,
    }
}

fn marked(id: i64, day: i64, marked_on: i64) -> DeletionFacts {
    DeletionFacts {
        was_done: true,
        marked_deleted_at: Some(time(marked_on)),
        finished_at: Some(time(marked_on)),
        ..backup(id, BackupStatus::Deleted, day)
    }
}

pub(super) fn gate(rule: &DeletionRule, backups: &[DeletionFacts], now: DateTime<Utc>) -> Gate {
    Gate::new(*rule, backups.to_vec(), now)
}

fn actions(rule: &DeletionRule, backups: &[DeletionFacts], today: i64) -> Vec<&'static str> {
    gate(rule, backups, time(today)).plan().map(|decision| decision.action.as_str()).collect()
}

pub(super) fn hold(until: Option<i64>) -> Option<Hold> {
    let until = until.map(time);
    Some(Hold { reason: "case 7".into(), by: "olga".into(), is_operators: false, at: time(0), until })
}

/// The step that a client or the clean-up gets, or the reason why not.
fn ask(
    rule: &DeletionRule,
    cause: Cause,
    backups: &[DeletionFacts],
    id: i64,
) -> Result<Step, DeletionReason> {
    let verdict = gate(rule, backups, time(100)).ask(cause, BackupId(id));
    verdict.map(|permit| permit.step()).map_err(|refusal| refusal.reason)
}

#[test]
fn a_backup_goes_only_when_it_is_old_and_enough_newer_done_ones_exist() {
    use BackupStatus::{Done, Failed, Queued, Running};
    let cases: [(&str, Vec<DeletionFacts>, i64, &str); 9] = [
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
    let rule = DeletionRule { retention_days: 0, ..rule(0) };
    assert_eq!(actions(&rule, &[backup(1, BackupStatus::Done, 0)], 0), ["keep"]);
    assert_eq!(actions(&rule, &[backup(1, BackupStatus::Done, 0)], 1), ["mark"]);
}

#[test]
fn a_marked_backup_stays_for_the_undo_window_and_is_judged_again_after_it() {
    let newer = [backup(2, BackupStatus::Done, 50), backup(3, BackupStatus::Done, 51)];
    let with = |marked_on| [marked(1, 0, marked_on), newer[0].clone(), newer[1].clone()];
    assert_eq!(actions(&rule(2), &with(100), 101), ["keep", "keep", "keep"]);
    assert_eq!(actions(&rule(2), &with(100), 102), ["remove", "keep", "keep"]);
    // Meanwhile the minimum was raised, or a newer one was deleted by its owner.
    assert_eq!(actions(&rule(3), &with(100), 102), ["keep", "keep", "keep"]);
    assert_eq!(actions(&rule(2), &[marked(1, 0, 100), newer[0].clone()], 102), ["keep", "keep"]);
    // A failure needs no newer ones.
    let failure = DeletionFacts { was_done: false, ..marked(1, 0, 100) };
    assert_eq!(actions(&rule(5), &[failure], 102), ["remove"]);
}

#[test]
fn an_undeleted_backup_is_young_again() {
    let undeleted = DeletionFacts { finished_at: Some(time(100)), ..backup(1, BackupStatus::Done, 0) };
    assert_eq!(actions(&rule(0), std::slice::from_ref(&undeleted), 104), ["keep"]);
    assert_eq!(actions(&rule(0), &[undeleted], 108), ["mark"]);
}

#[test]
fn backups_of_a_deleted_instance_are_marked_at_once_and_removed_after_their_days() {
    let gone = DeletionRule { deleted_at: Some(time(10)), ..rule(5) };
    let all = [backup(1, BackupStatus::Done, 9), backup(2, BackupStatus::Failed, 9), marked(3, 0, 9)];
    assert_eq!(actions(&gone, &all, 10), ["mark", "mark", "keep"]);
    assert_eq!(actions(&gone, &[marked(3, 0, 9)], 40), ["keep"]);
    assert_eq!(actions(&gone, &[marked(3, 0, 9)], 41), ["remove"]);
    assert_eq!(actions(&gone, &[backup(4, BackupStatus::Running, 0)], 999), ["keep"]);
}

#[test]
fn a_restore_or_a_rehearsal_keeps_its_backup_from_everything_and_what_was_begun_is_finished() {
    let begun = DeletionFacts { removal_reason: Some("it was begun".into()), ..marked(1, 99, 100) };
    assert_eq!(actions(&rule(5), std::slice::from_ref(&begun), 100), ["remove"]);
    let shown = gate(&rule(5), std::slice::from_ref(&begun), time(100)).plan().next().unwrap();
    assert_eq!(shown.reason.to_string(), "it was begun", "the reason of its beginning, whatever holds today");
    let strict = DeletionRule { clients_may_go_below_minimum: false, ..rule(5) };
    assert_eq!(ask(&strict, Cause::Client, &[begun], 1), Ok(Step::Remove));
    let used = DeletionFacts { is_used_by_restore: true, ..backup(1, BackupStatus::Done, 0) };
    let gone = DeletionRule { deleted_at: Some(time(0)), ..rule(0) };
    assert_eq!(actions(&gone, std::slice::from_ref(&used), 9999), ["keep"]);
    assert_eq!(ask(&gone, Cause::Client, &[used], 1), Err(DeletionReason::UsedByRestore));
    let rehearsed = DeletionFacts { is_used_by_rehearsal: true, ..backup(1, BackupStatus::Done, 0) };
    assert_eq!(actions(&gone, std::slice::from_ref(&rehearsed), 9999), ["keep"]);
    assert_eq!(ask(&gone, Cause::Client, &[rehearsed], 1), Err(DeletionReason::UsedByRehearsal));
}

#[test]
fn a_held_backup_is_touched_by_no_cause_until_its_hold_is_over() {
    let gone = DeletionRule { deleted_at: Some(time(0)), ..rule(0) };
    for rule in [rule(0), gone] {
        for facts in [backup(1, BackupStatus::Done, 0), marked(1, 0, 1)] {
            let wanted = actions(&rule, std::slice::from_ref(&facts), 100);
            assert_ne!(wanted, ["keep"]);
            for (until, is_held) in [(None, true), (Some(101), true), (Some(100), false), (Some(-5), false)] {
                let held = [DeletionFacts { hold: hold(until), ..facts.clone() }];
                let expected = if is_held { vec!["keep"] } else { wanted.clone() };
                assert_eq!(actions(&rule, &held, 100), expected, "{until:?}");
                assert_eq!(ask(&rule, Cause::Client, &held, 1).is_err(), is_held, "{until:?}");
            }
        }
    }
    let held = DeletionFacts { hold: hold(None), ..backup(1, BackupStatus::Done, 0) };
    let shown = gate(&rule(0), &[held], time(100)).plan().next().unwrap();
    assert_eq!(shown.reason.to_string(), "held: case 7 (by olga)");
}

#[test]
fn a_held_backup_counts_like_any_other_and_the_newest_stay_when_it_is_released() {
    use BackupStatus::Done;
    let held = |id, day| DeletionFacts { hold: hold(None), ..backup(id, Done, day) };
    // The floor of two may be of held ones alone: they are the newest, and stay so.
    let newest_held = [backup(1, Done, 0), held(2, 1), held(3, 2)];
    assert_eq!(actions(&rule(2), &newest_held, 100), ["mark", "keep", "keep"]);
    let released = [backup(2, Done, 1), backup(3, Done, 2)];
    assert_eq!(actions(&rule(2), &released, 9999), ["keep", "keep"]);
    // Old held ones are no substitute for newer ones.
    let oldest_held = [held(1, 0), held(2, 1), backup(3, Done, 2), backup(4, Done, 3)];
    assert_eq!(actions(&rule(2), &oldest_held, 100), ["keep", "keep", "keep", "keep"]);
}

#[test]
fn a_client_may_delete_what_the_minimum_protects_unless_the_operator_forbids_it() {
    use BackupStatus::{Done, Failed, Running};
    let all = [
        backup(1, Done, 90),
        backup(2, Done, 95),
        backup(3, Failed, 96),
        backup(4, Running, 97),
        marked(5, 98, 99),
    ];
    let strict = DeletionRule { clients_may_go_below_minimum: false, ..rule(1) };
    assert_eq!(ask(&rule(1), Cause::Client, &all, 2), Ok(Step::Remove));
    let needed = DeletionReason::Needed { newer: 0, required: 1 };
    assert_eq!(ask(&strict, Cause::Client, &all, 2), Err(needed.clone()));
    assert_eq!(ask(&strict, Cause::Client, &all, 5), Err(needed), "marked, and the newest good one");
    for id in [1, 3] {
        assert_eq!(
            ask(&strict, Cause::Client, &all, id),
            Ok(Step::Remove),
            "{id}: neither age nor failure protects"
        );
    }
    let gone = DeletionRule { deleted_at: Some(time(0)), ..strict };
    assert_eq!(ask(&gone, Cause::Client, &all, 2), Ok(Step::Remove), "the minimum is for live instances");
    assert_eq!(ask(&rule(1), Cause::Client, &all, 4), Err(DeletionReason::Unfinished));
    assert_eq!(ask(&rule(1), Cause::Client, &all, 6), Err(DeletionReason::Unknown));
}

#[test]
fn only_a_failed_backup_has_remains_to_clean_up() {
    for status in BackupStatus::ALL {
        for has_remains in [false, true] {
            let facts = [DeletionFacts { has_remains, ..backup(1, status, 0) }];
            let is_permitted = ask(&rule(0), Cause::Remains, &facts, 1) == Ok(Step::CleanUp);
            assert_eq!(is_permitted, status == BackupStatus::Failed && has_remains, "{status:?}");
        }
    }
}

#[test]
fn spans_no_calendar_holds_keep_everything() {
    let eternal = DeletionRule { retention_days: i32::MAX, undo_window: Duration::MAX, ..rule(0) };
    assert_eq!(
        actions(&eternal, &[backup(1, BackupStatus::Done, 0), marked(2, 0, 1)], 99_999),
        ["keep", "keep"]
    );
}

#[test]
fn every_reason_is_a_sentence() {
    let text = DeletionReason::Needed { newer: 2, required: 5 }.to_string();
    assert_eq!(text, "only 2 newer done backups exist, 5 are required");
}
