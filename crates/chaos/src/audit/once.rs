//! An agent begins each operation at most once, and works on one at a time; what is done was begun.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::facts::{Facts, Line, Sort};

const ONCE: &str = "an agent begins each operation at most once";
const ALONE: &str = "an agent works on one operation at a time";
const BEGUN: &str = "what is done was begun";

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut begun: BTreeMap<(Sort, &str), Vec<usize>> = BTreeMap::new();
    for (position, agent) in facts.agents.iter().enumerate() {
        let mut running: BTreeSet<(Sort, &str)> = BTreeSet::new();
        for line in &agent.lines {
            match line {
                Line::Serving => running.clear(),
                Line::Ended(sort, id) => drop(running.remove(&(*sort, id.as_str()))),
                Line::Began(sort, id) => {
                    if !running.is_empty() {
                        let text =
                            format!("agent {position} began {} {id} beside {running:?}", sort.as_str());
                        found.push(Violation::new(ALONE, text));
                    }
                    running.insert((*sort, id));
                    begun.entry((*sort, id)).or_default().push(position);
                }
            }
        }
    }
    for ((sort, id), agents) in begun.iter().filter(|(_, agents)| agents.len() > 1) {
        found
            .push(Violation::new(ONCE, format!("{} {id} was begun by the agents {agents:?}", sort.as_str())));
    }
    for sort in [Sort::Backup, Sort::Restore] {
        let done = facts.rows(sort).iter().filter(|row| row.status == "done");
        for row in done.filter(|row| !begun.contains_key(&(sort, row.name()))) {
            let text =
                format!("{} {} ({}) is done, and no agent began it", sort.as_str(), row.id, row.name());
            found.push(Violation::new(BEGUN, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;

    #[test]
    fn a_second_beginning_is_found_also_after_a_restart() {
        let mut facts = sane::world();
        facts.agents[0].lines.extend([Line::Serving, Line::Began(Sort::Backup, "b-1".into())]);
        assert_eq!(check(&facts)[0].promise, ONCE);
    }

    #[test]
    fn a_second_beginning_is_found_at_another_agent() {
        let mut facts = sane::world();
        facts.agents.push(crate::facts::AgentFacts {
            lines: vec![Line::Began(Sort::Backup, "b-1".into())],
            ..Default::default()
        });
        assert_eq!(check(&facts)[0].promise, ONCE);
    }

    #[test]
    fn two_at_a_time_are_found_but_a_restart_ends_what_ran() {
        let mut facts = sane::world();
        let began = |id: &str| Line::Began(Sort::Backup, id.into());
        facts.agents[0].lines = vec![began("b-1"), Line::Serving, began("b-2"), began("b-3")];
        facts.restores.clear();
        let promises: Vec<_> = check(&facts).iter().map(|violation| violation.promise).collect();
        assert_eq!(promises, [ALONE]);
    }

    #[test]
    fn what_no_agent_began_cannot_be_done() {
        let mut facts = sane::world();
        facts.agents[0].lines.clear();
        assert!(check(&facts).iter().all(|violation| violation.promise == BEGUN));
        assert!(!check(&facts).is_empty());
    }
}
