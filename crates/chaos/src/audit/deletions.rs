//! Every removal is in the audit trail, was decided before it was done, and never took what retention promises: the newest
//! good backups of an instance, unless a client deleted them.
//!
//! Decisions are judged by what was true when they were made, replaying the changes in their order. Marks, removals,
//! deletions by clients and undeletions of one instance exclude each other in the manager (it locks the instance), and a
//! newer backup that a decision counted was committed before it, so the order of the numbers is the order of events.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::facts::{Change, Event, Facts, Row, Sort};

const SEEN: &str = "every removal is in the audit trail";
const FLOOR: &str = "the newest good backups are never deleted";

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let mut replay = Replay::new(facts);
    for change in facts.changes.iter().filter(|change| change.sort == Sort::Backup) {
        replay.step(change);
    }
    let mut found = replay.found;
    found.extend(newest_are_there(facts));
    found
}

struct Replay<'a> {
    facts: &'a Facts,
    /// What each transaction said it did to which backup.
    said: BTreeSet<(i64, &'a str, i64)>,
    /// The backups of each instance that are `done` at the moment.
    good: BTreeMap<i64, BTreeSet<i64>>,
    found: Vec<Violation>,
}

impl<'a> Replay<'a> {
    fn new(facts: &'a Facts) -> Self {
        let said = facts
            .events
            .iter()
            .filter_map(|event| Some((event.transaction, event.action.as_str(), event.backup()?)));
        Self { facts, said: said.collect(), good: BTreeMap::new(), found: Vec::new() }
    }

    fn step(&mut self, change: &Change) {
        match (&change.old, &change.new) {
            (Some(old), Some(new)) => self.moved(change.transaction, old, new),
            (Some(old), None) => self.removed(change.transaction, old),
            (None, _) => {}
        }
    }

    fn moved(&mut self, transaction: i64, old: &Row, new: &Row) {
        let is_marked = old.status != "deleted" && new.status == "deleted";
        let is_decided = old.removal_reason.is_none() && new.removal_reason.is_some();
        let by_client = self.said.contains(&(transaction, "delete_backup", new.id));
        let by_mark = self.said.contains(&(transaction, "mark_backup", new.id));
        if is_marked && !by_client && !by_mark {
            let text = format!("backup {} was marked in transaction {transaction} without an event", new.id);
            self.found.push(Violation::new(SEEN, text));
        }
        let was_good = old.status == "done" || (old.status == "deleted" && new.reason_code.is_none());
        if (is_marked || is_decided) && was_good && !by_client {
            let newer = self.newer(new);
            if newer < self.facts.min_backups {
                let done = if is_marked { "marked" } else { "chosen for removal" };
                let text = format!(
                    "backup {} of instance row {} was {done} in transaction {transaction} when only {newer} newer good ones existed",
                    new.id, new.service_instance_id
                );
                self.found.push(Violation::new(FLOOR, text));
            }
        }
        let good = self.good.entry(new.service_instance_id).or_default();
        match new.status.as_str() {
            "done" => drop(good.insert(new.id)),
            _ => drop(good.remove(&new.id)),
        }
    }

    fn removed(&mut self, transaction: i64, old: &Row) {
        if !self.said.contains(&(transaction, "remove_backup", old.id)) {
            let text = format!("backup {} was removed in transaction {transaction} without an event", old.id);
            self.found.push(Violation::new(SEEN, text));
        }
        if old.removal_reason.is_none() {
            let text =
                format!("backup {} was removed in transaction {transaction} before that was decided", old.id);
            self.found.push(Violation::new(SEEN, text));
        }
        if let Some(good) = self.good.get_mut(&old.service_instance_id) {
            good.remove(&old.id);
        }
    }

    fn newer(&self, row: &Row) -> usize {
        let good = self.good.get(&row.service_instance_id);
        good.map_or(0, |good| good.iter().filter(|id| **id > row.id).count())
    }
}

/// Where no client deleted a good backup, the newest that ever were good must all be there: no order of events excuses it.
fn newest_are_there(facts: &Facts) -> Vec<Violation> {
    let deleted_by_clients: BTreeSet<i64> = facts
        .events
        .iter()
        .filter(|event| event.action == "delete_backup")
        .filter_map(Event::backup)
        .collect();
    let mut ever_good: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for row in
        facts.changes.iter().filter(|change| change.sort == Sort::Backup).filter_map(|c| c.new.as_ref())
    {
        if row.status == "done" {
            ever_good.entry(row.service_instance_id).or_default().insert(row.id);
        }
    }
    let is_there = |id: &i64| facts.backups.iter().any(|row| row.id == *id && row.status == "done");
    let mut found = Vec::new();
    for (instance, good) in &ever_good {
        if good.iter().any(|id| deleted_by_clients.contains(id)) {
            continue;
        }
        for id in good.iter().rev().take(facts.min_backups).filter(|id| !is_there(id)) {
            let text = format!(
                "backup {id} of instance row {instance} is among the newest {} and not there",
                facts.min_backups
            );
            found.push(Violation::new(FLOOR, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;

    /// A world in which backup 1 was marked when backups 2 to `newest` were good, and removed.
    fn retention(newest: i64, actions: [&str; 3]) -> Facts {
        let mut facts = Facts { min_backups: 2, ..Facts::default() };
        for id in 1..=newest {
            let queued = Row { id, status: "queued".into(), service_instance_id: 1, ..Row::default() };
            let done = Row { status: "done".into(), ..queued.clone() };
            facts.changes.push(sane::change(id, None, Some(queued.clone())));
            facts.changes.push(sane::change(
                id,
                Some(Row { status: "running".into(), ..queued }),
                Some(done.clone()),
            ));
            if id > 1 {
                facts.backups.push(done);
            }
        }
        let good = Row { id: 1, status: "done".into(), service_instance_id: 1, ..Row::default() };
        let marked = Row { status: "deleted".into(), ..good.clone() };
        let chosen = Row { removal_reason: Some("expired".into()), ..marked.clone() };
        facts.changes.push(sane::change(101, Some(good), Some(marked.clone())));
        facts.changes.push(sane::change(102, Some(marked), Some(chosen.clone())));
        facts.changes.push(sane::change(103, Some(chosen), None));
        for (transaction, action) in (101..).zip(actions) {
            let subject = Some("backup 1: reason".to_owned());
            facts.events.push(Event { transaction, action: action.into(), subject, ..Event::default() });
        }
        facts
    }

    #[test]
    fn retention_with_enough_newer_ones_is_right() {
        assert_eq!(check(&retention(3, ["mark_backup", "", "remove_backup"])), []);
    }

    #[test]
    fn retention_that_takes_one_of_the_newest_is_found() {
        let found = check(&retention(2, ["mark_backup", "", "remove_backup"]));
        let promises: Vec<_> = found.iter().map(|violation| violation.promise).collect();
        assert_eq!(promises, [FLOOR; 3], "at the mark, at the choice, and at the end");
    }

    #[test]
    fn a_client_may_delete_what_it_likes() {
        assert_eq!(check(&retention(1, ["delete_backup", "delete_backup", "remove_backup"])), []);
    }

    #[test]
    fn a_mark_or_removal_without_an_event_is_found() {
        assert_eq!(check(&retention(3, ["", "", "remove_backup"]))[0].promise, SEEN);
        assert_eq!(check(&retention(3, ["mark_backup", "", ""]))[0].promise, SEEN);
    }

    #[test]
    fn a_removal_nobody_decided_is_found() {
        let mut facts = retention(3, ["mark_backup", "", "remove_backup"]);
        let last = facts.changes.last_mut().unwrap();
        last.old.as_mut().unwrap().removal_reason = None;
        assert_eq!(check(&facts)[0].promise, SEEN);
    }
}
