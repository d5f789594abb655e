//! An agent's journal tells the truth and forgets nothing: what was begun is in it, what is done for the manager is done for
//! the agent, nothing runs any more, and there is no operation that the manager never had.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::facts::{Facts, Line, Row, Sort};

const PROMISE: &str = "the agents' journals agree with the manager";

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut tell = |text: String| found.push(Violation::new(PROMISE, text));
    let known = known(facts);
    let mut states: BTreeMap<(Sort, &str), &str> = BTreeMap::new();
    for (position, agent) in facts.agents.iter().enumerate() {
        let Some(journal) = &agent.journal else {
            tell(format!("the journal of agent {position} cannot be read"));
            continue;
        };
        let recorded: BTreeSet<_> = journal.iter().map(|(sort, id, _)| (*sort, id.as_str())).collect();
        for (sort, id, state) in journal {
            let what = format!("agent {position} has {} {id} as {state}", sort.as_str());
            if state == "running" {
                tell(format!("{what}, and nothing is under way any more"));
            }
            if !known.contains(&(*sort, id.as_str())) {
                tell(format!("{what}, and the manager never had it"));
            }
            states.insert((*sort, id), state);
        }
        for line in &agent.lines {
            if let Line::Began(sort, id) = line
                && !recorded.contains(&(*sort, id.as_str()))
            {
                tell(format!("agent {position} has forgotten {} {id}, which it began", sort.as_str()));
            }
        }
    }
    for sort in [Sort::Backup, Sort::Restore] {
        for row in facts.rows(sort).iter().filter(|row| row.status == "done") {
            let state = states.get(&(sort, row.name())).copied().unwrap_or("unknown");
            if state != "done" {
                tell(format!("{} {} is done, and its agent says {state}", sort.as_str(), row.name()));
            }
        }
    }
    found
}

/// Every operation that has, or ever had, a row.
fn known(facts: &Facts) -> BTreeSet<(Sort, &str)> {
    let of = |sort: Sort| move |row| (sort, Row::name(row));
    let changed = facts
        .changes
        .iter()
        .flat_map(|change| change.old.iter().chain(&change.new).map(of(change.sort)).collect::<Vec<_>>());
    let backups = facts.backups.iter().map(of(Sort::Backup));
    changed.chain(backups).chain(facts.restores.iter().map(of(Sort::Restore))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;

    type Doctor = fn(&mut Vec<(Sort, String, String)>);

    #[test]
    fn every_untruth_of_a_journal_is_found() {
        let cases: [(&str, Doctor); 5] = [
            ("nothing is under way", |journal| journal[0].2 = "running".into()),
            ("its agent says failed", |journal| journal[0].2 = "failed".into()),
            ("its agent says failed", |journal| journal[2].2 = "failed".into()),
            ("has forgotten backup b-2", |journal| drop(journal.remove(1))),
            ("never had it", |journal| journal.push((Sort::Restore, "b-1".into(), "done".into()))),
        ];
        assert_eq!(check(&sane::world()), []);
        for (expected, doctor) in cases {
            let mut facts = sane::world();
            doctor(facts.agents[0].journal.as_mut().unwrap());
            let found = check(&facts);
            assert!(
                found.iter().any(|violation| violation.finding.contains(expected)),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_found() {
        let mut facts = sane::world();
        facts.agents[0].journal = None;
        assert!(check(&facts)[0].finding.contains("cannot be read"));
    }
}
