//! Every accepted request reaches a terminal status, or was removed in plain sight; a key stands for one backup; nothing is
//! left in the queue.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::facts::{Facts, Sort};
use crate::schedule::Kind;

const LOST: &str = "nothing accepted is lost";
const STUCK: &str = "nothing stays unfinished";
const TWICE: &str = "a key stands for one backup";

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let mut found = lost(facts);
    found.extend(unfinished(facts));
    found.extend(jobs(facts));
    found.extend(doubled(facts));
    found
}

fn lost(facts: &Facts) -> Vec<Violation> {
    let removed: BTreeSet<i64> = removed_with_event(facts);
    let is_known = |sort: Sort, id: i64| facts.rows(sort).iter().any(|row| row.id == id);
    facts
        .requests
        .iter()
        .filter(|request| !is_known(request.sort(), request.id))
        .filter(|request| request.is_restore || !removed.contains(&request.id))
        .map(|request| {
            let (sort, id, guid) = (request.sort().as_str(), request.id, &request.guid);
            Violation::new(LOST, format!("{sort} {id} of {guid} was accepted at {} ms and has neither a row nor an event of its removal", request.accepted))
        })
        .collect()
}

/// Backups whose removal is in the audit trail.
pub(super) fn removed_with_event(facts: &Facts) -> BTreeSet<i64> {
    let removals = facts.events.iter().filter(|event| event.action == "remove_backup");
    removals.filter_map(crate::facts::Event::backup).collect()
}

fn unfinished(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for sort in [Sort::Backup, Sort::Restore] {
        for row in facts.rows(sort).iter().filter(|row| matches!(row.status.as_str(), "queued" | "running")) {
            let (id, name) = (row.id, row.name());
            let text = format!("{} {id} ({name}) is still {}, msg {:?}", sort.as_str(), row.status, row.msg);
            found.push(Violation::new(STUCK, text));
        }
    }
    found
}

fn jobs(facts: &Facts) -> Vec<Violation> {
    let left = facts.jobs.iter();
    left.map(|job| {
        let text = format!(
            "job {} {} {} is {}, due in {:.0} s, last error {:?}",
            job.id, job.kind, job.arguments, job.state, job.due_in_seconds, job.last_error
        );
        Violation::new(STUCK, text)
    })
    .collect()
}

/// A key is remembered for 24 hours of the database's clock, so a jump of that clock may make it forgotten.
fn doubled(facts: &Facts) -> Vec<Violation> {
    let mut ids: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    let rows =
        facts.changes.iter().filter(|change| change.sort == Sort::Backup).filter_map(|c| c.new.as_ref());
    for row in rows {
        if let Some(key) = &row.idempotency_key {
            ids.entry(key).or_default().insert(row.id);
        }
    }
    let did_jump = facts.was_hit(&[Kind::ClockDatabase], None, 0, u64::MAX);
    ids.into_iter()
        .filter(|(_, ids)| ids.len() > 1 && !did_jump)
        .map(|(key, ids)| Violation::new(TWICE, format!("{key} stands for the backups {ids:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;
    use crate::facts::Job;

    #[test]
    fn a_request_without_a_row_is_lost() {
        let mut facts = sane::world();
        facts.backups.retain(|row| row.id != 2);
        assert_eq!(lost(&facts).len(), 1);
        facts.events.push(sane::removal(2));
        assert_eq!(lost(&facts), []);
    }

    #[test]
    fn a_restore_is_never_removed() {
        let mut facts = sane::world();
        facts.restores.clear();
        facts.events.push(sane::removal(1));
        assert_eq!(lost(&facts).len(), 1);
    }

    #[test]
    fn what_is_still_running_is_stuck() {
        let mut facts = sane::world();
        facts.restores[0].status = "running".into();
        assert_eq!(unfinished(&facts).len(), 1);
    }

    #[test]
    fn a_job_that_is_left_is_stuck() {
        let mut facts = sane::world();
        facts.jobs.push(Job { kind: "check_operation".into(), due_in_seconds: 90_000.0, ..Job::default() });
        assert_eq!(jobs(&facts).len(), 1);
    }

    #[test]
    fn two_backups_of_one_key_are_one_too_many() {
        let mut facts = sane::world();
        for change in &mut facts.changes {
            if let Some(row) = &mut change.new {
                row.idempotency_key = Some("same".into());
            }
        }
        assert_eq!(doubled(&facts).len(), 1);
    }
}
