//! The gate by random histories of all causes, holds and restores under random clocks.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;

use super::tests::{backup, gate, hold, rule, time};
use super::*;

#[derive(Debug, Clone)]
enum Event {
    Add { done: bool },
    Clock { day: i64 },
    Hold { which: usize, until: Option<i64> },
    Release { which: usize },
    Restore { which: usize },
    RestoreEnds { which: usize },
    Undelete { which: usize },
    Client { which: usize },
    Retention,
    CleanUp,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let which = 0_usize..20;
    let day = -20_000_i64..20_000;
    let event = prop_oneof![
        6 => any::<bool>().prop_map(|done| Event::Add { done }),
        3 => day.clone().prop_map(|day| Event::Clock { day }),
        2 => (which.clone(), prop::option::of(day)).prop_map(|(which, until)| Event::Hold { which, until }),
        1 => which.clone().prop_map(|which| Event::Release { which }),
        1 => which.clone().prop_map(|which| Event::Restore { which }),
        1 => which.clone().prop_map(|which| Event::RestoreEnds { which }),
        1 => which.clone().prop_map(|which| Event::Undelete { which }),
        3 => which.prop_map(|which| Event::Client { which }),
        5 => Just(Event::Retention),
        1 => Just(Event::CleanUp),
    ];
    prop::collection::vec(event, 1..80)
}

fn newest(backups: &[DeletionFacts], count: usize) -> BTreeSet<BackupId> {
    let mut done: Vec<_> = backups.iter().filter(|b| b.status == BackupStatus::Done).collect();
    done.sort_by_key(|b| b.id);
    let by_id = done.iter().rev().take(count).map(|b| b.id).collect::<Vec<_>>();
    done.sort_by_key(|b| (b.triggered_at, b.id));
    done.iter().rev().take(count).map(|b| b.id).chain(by_id).collect()
}

/// An instance's backups, and what happens to them; permits are carried out at once.
struct History {
    rule: DeletionRule,
    backups: Vec<DeletionFacts>,
    now: DateTime<Utc>,
    last: i64,
}

impl History {
    fn carry_out(&mut self, permit: &Permit) {
        let (now, id) = (self.now, permit.backup());
        match permit.step() {
            Step::Remove => self.backups.retain(|backup| backup.id != id),
            Step::Mark => self.change(id, |backup| {
                backup.status = BackupStatus::Deleted;
                backup.marked_deleted_at = Some(now);
                backup.finished_at = Some(now);
            }),
            Step::CleanUp => self.change(id, |backup| backup.has_remains = false),
        }
    }

    fn change(&mut self, id: BackupId, change: impl FnOnce(&mut DeletionFacts)) {
        change(
            self.backups
                .iter_mut()
                .find(|backup| backup.id == id)
                .expect("a permit is for a backup that is there"),
        );
    }

    fn run(&mut self, cause: Cause) {
        let permits: Vec<_> = gate(&self.rule, &self.backups, self.now).ask_all(cause).flatten().collect();
        permits.iter().for_each(|permit| self.carry_out(permit));
    }

    fn chosen(&mut self, which: usize) -> Option<&mut DeletionFacts> {
        let count = self.backups.len().max(1);
        self.backups.get_mut(which % count)
    }

    fn happen(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::Add { done } => {
                self.last += 1;
                let status = if done { BackupStatus::Done } else { BackupStatus::Failed };
                let facts = backup(self.last, status, 0);
                self.backups.push(DeletionFacts {
                    triggered_at: now,
                    finished_at: Some(now),
                    has_remains: !done,
                    ..facts
                });
            }
            Event::Clock { day } => self.now = time(day),
            Event::Hold { which, until } => {
                if let Some(backup) = self.chosen(which).filter(|backup| backup.was_done) {
                    backup.hold = hold(until);
                }
            }
            Event::Release { which } => self.chosen(which).into_iter().for_each(|backup| backup.hold = None),
            Event::Restore { which } => {
                if let Some(backup) = self.chosen(which).filter(|backup| backup.status == BackupStatus::Done)
                {
                    backup.is_used_by_restore = true;
                }
            }
            Event::RestoreEnds { which } => {
                self.chosen(which).into_iter().for_each(|backup| backup.is_used_by_restore = false);
            }
            Event::Undelete { which } => {
                let marked =
                    |backup: &&mut DeletionFacts| backup.status == BackupStatus::Deleted && backup.was_done;
                if let Some(backup) = self.chosen(which).filter(marked) {
                    backup.status = BackupStatus::Done;
                    backup.marked_deleted_at = None;
                    backup.finished_at = Some(now);
                }
            }
            Event::Client { which } => {
                let Some(id) = self.chosen(which).map(|backup| backup.id) else { return };
                if let Ok(permit) = gate(&self.rule, &self.backups, now).ask(Cause::Client, id) {
                    self.carry_out(&permit);
                }
            }
            Event::Retention => self.run(Cause::Retention),
            Event::CleanUp => self.run(Cause::Remains),
        }
    }

    /// What may not go at this moment: held, used, unfinished. With their status, since a mark is a deletion, too.
    fn untouchable(&self) -> Vec<(BackupId, BackupStatus)> {
        let is_held =
            |backup: &&DeletionFacts| backup.hold.as_ref().is_some_and(|hold| !hold.is_over(self.now));
        let all = self.backups.iter().filter(|backup| backup.is_used_by_restore || is_held(backup));
        all.map(|backup| (backup.id, backup.status)).collect()
    }
}

fn deletes(event: &Event) -> bool {
    matches!(event, Event::Client { .. } | Event::Retention | Event::CleanUp)
}

proptest! {
    #[test]
    fn the_newest_done_backups_survive_any_sequence_of_causes_under_any_clock(
        events in events(), min in 0_i32..6, days in 0_i32..10, strict in any::<bool>(),
    ) {
        let rule = DeletionRule { retention_days: days, clients_may_go_below_minimum: !strict, ..rule(min) };
        let mut history = History { rule, backups: Vec::new(), now: time(0), last: 0 };
        let count = usize::try_from(min).unwrap();
        for event in &events {
            let promised = newest(&history.backups, count);
            history.happen(event);
            // Where the operator leaves it to the owners, their word counts more.
            if deletes(event) && (strict || !matches!(event, Event::Client { .. })) {
                let alive: BTreeSet<_> =
                    history.backups.iter().filter(|b| b.status == BackupStatus::Done).map(|b| b.id).collect();
                prop_assert!(promised.is_subset(&alive), "{event:?}: {promised:?} were promised, {alive:?} are left");
            }
        }
    }

    #[test]
    fn retention_never_removes_the_base_that_the_promised_window_needs(
        starts in prop::collection::vec((0_i64..60, any::<bool>(), any::<bool>()), 0..12),
        runs in prop::collection::vec(0_i64..90, 1..6),
        min in 0_i32..3,
        days in 0_i32..20,
    ) {
        let rule = DeletionRule { retention_days: days, promises_moments: true, ..rule(min) };
        let backups = starts.iter().zip(1..).map(|((day, is_base, is_done), id)| {
            let status = if *is_done { BackupStatus::Done } else { BackupStatus::Failed };
            let window_start = (*is_base && *is_done).then(|| time(*day));
            DeletionFacts { window_start, ..backup(id, status, *day) }
        });
        let mut history = History { rule, backups: backups.collect(), now: time(0), last: 99 };
        let mut runs = runs;
        runs.sort_unstable();
        for day in runs {
            history.now = time(day);
            let bases = history.backups.iter().filter(|b| b.status == BackupStatus::Done);
            let ended = bases.filter_map(|b| Some((b.window_start?, b.id)));
            // Every base from the one that had ended when the window begins serves moments of it.
            let ended: Vec<_> = ended.collect();
            let first = ended.iter().filter(|(start, _)| *start < time(day - i64::from(days))).max().copied();
            let needed: Vec<_> = ended.into_iter().filter(|base| Some(*base) >= first).map(|(_, id)| id).collect();
            history.run(Cause::Retention);
            for id in needed {
                let left = history.backups.iter().find(|b| b.id == id).map(|b| b.status);
                prop_assert_eq!(left, Some(BackupStatus::Done));
            }
        }
    }

    #[test]
    fn what_is_held_or_in_use_survives_any_sequence_of_causes_under_any_clock(
        events in events(), min in 0_i32..3, days in 0_i32..3, gone in prop::option::of(-100_i64..100),
    ) {
        let rule = DeletionRule { retention_days: days, deleted_at: gone.map(time), ..rule(min) };
        let mut history = History { rule, backups: Vec::new(), now: time(0), last: 0 };
        for event in &events {
            let untouchable = history.untouchable();
            history.happen(event);
            if deletes(event) {
                for (id, status) in untouchable {
                    let left = history.backups.iter().find(|backup| backup.id == id).map(|backup| backup.status);
                    prop_assert_eq!(left, Some(status), "{:?}", event);
                }
            }
        }
    }

    #[test]
    fn marking_changes_nothing_about_what_is_to_be_removed(events in events(), min in 0_i32..4, days in 0_i32..4) {
        let rule = DeletionRule { retention_days: days, undo_window: Duration::from_secs(1), ..rule(min) };
        let mut history = History { rule, backups: Vec::new(), now: time(0), last: 0 };
        events.iter().for_each(|event| history.happen(event));
        let permits: Vec<_> = gate(&rule, &history.backups, history.now).ask_all(Cause::Retention).flatten().collect();
        let (marks, removals): (Vec<_>, Vec<_>) = permits.into_iter().partition(|permit| permit.step() == Step::Mark);
        marks.iter().for_each(|permit| history.carry_out(permit));
        for removal in removals {
            let again = gate(&rule, &history.backups, history.now).ask(Cause::Retention, removal.backup());
            prop_assert_eq!(again.as_ref(), Ok(&removal));
        }
    }

    #[test]
    fn what_is_expired_is_gone_after_two_runs(count in 1_i64..40, min in 0_i32..6) {
        let backups = (1..=count).map(|id| backup(id, BackupStatus::Done, id)).collect();
        let mut history = History { rule: rule(min), backups, now: time(1000), last: count };
        history.run(Cause::Retention);
        history.now = time(1002);
        history.run(Cause::Retention);
        prop_assert_eq!(i64::try_from(history.backups.len()).unwrap(), count.min(i64::from(min)));
    }
}
