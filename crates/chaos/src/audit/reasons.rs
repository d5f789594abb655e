//! A restart of API, worker or agent is a non-event: every failure has a reason, and every reason an injected fault (or a
//! client's wish) that explains it. What no fault explains is a broken promise.

use super::Violation;
use crate::facts::{Facts, Line, Millis, Row, Sort};
use crate::schedule::{Kind, Target};

const PROMISE: &str = "nothing fails without a cause";

/// A change is seen a look after it happened, and a fault ends a little after it was healed.
const SLACK: Millis = 2_000;

/// What can keep a request or an answer from passing between worker and agent.
const ROAD: [Kind; 9] = [
    Kind::AgentRefuses,
    Kind::AgentDropBefore,
    Kind::AgentDropAfter,
    Kind::AgentDuplicate,
    Kind::AgentLateCopy,
    Kind::AgentDelay,
    Kind::AgentHalfAnswer,
    Kind::AgentRubbish,
    Kind::AgentError,
];

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for change in &facts.changes {
        let (Some(old), Some(row)) = (&change.old, &change.new) else { continue };
        if old.status == "failed" || row.status != "failed" {
            continue;
        }
        let failed = Failed {
            facts,
            sort: change.sort,
            row,
            since: born(facts, change.sort, row.id),
            until: change.seen,
        };
        if let Err(why) = failed.explain() {
            let Failed { since, until, .. } = failed;
            let text = format!(
                "{} {} ({}) of instance row {} failed between {since} and {until} ms with {:?}, {:?}: {why}",
                change.sort.as_str(),
                row.id,
                row.name(),
                row.service_instance_id,
                row.reason_code.as_deref().unwrap_or_default(),
                row.msg.as_deref().unwrap_or_default()
            );
            found.push(Violation::new(PROMISE, text));
        }
    }
    found
}

/// When the row was first seen.
fn born(facts: &Facts, sort: Sort, id: i64) -> Millis {
    let own =
        facts.changes.iter().filter(|c| c.sort == sort && c.new.as_ref().is_some_and(|row| row.id == id));
    own.map(|change| change.seen).min().unwrap_or_default()
}

struct Failed<'a> {
    facts: &'a Facts,
    sort: Sort,
    row: &'a Row,
    since: Millis,
    until: Millis,
}

impl Failed<'_> {
    fn explain(&self) -> Result<(), String> {
        let agent = self.facts.position(self.row.service_instance_id).map(Target::Agent);
        let at_agent = |kinds: &[Kind]| self.was_hit(kinds, agent);
        let clock_jumped = || self.was_hit(&[Kind::ClockDatabase], None) || at_agent(&[Kind::ClockAgent]);
        let road = || at_agent(&ROAD) || at_agent(&[Kind::KillAgent, Kind::PauseAgent]);
        match self.row.reason_code.as_deref().unwrap_or_default() {
            "agent_interrupted" => explained(at_agent(&[Kind::KillAgent]), "its agent was not killed"),
            // Told to stop at a deadline that had not passed by the clock as it is now.
            "cancelled" => explained(
                self.row.cancel_requested_at.is_some() || self.was_hit(&[Kind::ClockDatabase], None),
                "nobody asked for it",
            ),
            "store_error" => explained(self.was_hit(&[Kind::DiskFull], None), "the store had room"),
            "agent_unreachable" => explained(road(), "its agent could be reached all the time"),
            "agent_rejected" => explained(
                at_agent(&[Kind::AgentError]) || clock_jumped(),
                "nobody refused, and no clock jumped",
            ),
            "timed_out" => {
                let lived = self.until.saturating_sub(self.since);
                let is_slow =
                    lived.saturating_add(SLACK) >= self.facts.timeout && (road() || self.was_held_up());
                explained(is_slow || clock_jumped(), "no clock jumped, and nothing held it up for so long")
            }
            "agent_lost_operation" => explained(
                !self.was_begun() && road(),
                "the agent had begun it, or its request was not held up",
            ),
            _ => Err("no fault that is injected explains this".into()),
        }
    }

    fn was_hit(&self, kinds: &[Kind], target: Option<Target>) -> bool {
        self.facts.was_hit(kinds, target, self.since.saturating_sub(SLACK), self.until.saturating_add(SLACK))
    }

    fn was_held_up(&self) -> bool {
        use Kind::{DiskFull, KillWorker, PauseWorker, PostgresFailover, PostgresPause, PostgresRestart};
        self.was_hit(
            &[DiskFull, KillWorker, PauseWorker, PostgresFailover, PostgresPause, PostgresRestart],
            None,
        )
    }

    fn was_begun(&self) -> bool {
        let mut lines = self.facts.agents.iter().flat_map(|agent| &agent.lines);
        lines.any(|line| matches!(line, Line::Began(sort, id) if *sort == self.sort && id == self.row.name()))
    }
}

fn explained(is_explained: bool, otherwise: &str) -> Result<(), String> {
    if is_explained { Ok(()) } else { Err(otherwise.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;

    fn failing(reason: &str, kind: Kind, target: Target) -> Facts {
        let mut facts = sane::world();
        let running = facts.backups[0].clone();
        let mut failed = running.clone();
        failed.status = "failed".into();
        failed.reason_code = Some(reason.into());
        let mut change = sane::change(50, Some(running), Some(failed));
        change.seen = 20_000;
        facts.changes.push(change);
        facts.faults = vec![sane::inflicted(kind, target, 10_000, 12_000)];
        facts
    }

    #[test]
    fn each_reason_wants_its_cause() {
        use Kind::*;
        let agent = Target::Agent(0);
        for (reason, kind, target, is_explained) in [
            ("agent_interrupted", KillAgent, agent, true),
            ("agent_interrupted", KillAgent, Target::Agent(1), false),
            ("agent_interrupted", KillWorker, Target::Worker(0), false),
            ("cancelled", KillAgent, agent, false),
            ("store_error", DiskFull, Target::Store, true),
            ("store_error", KillAgent, agent, false),
            ("agent_unreachable", AgentRefuses, agent, true),
            ("agent_unreachable", KillApi, Target::Api(0), false),
            ("agent_rejected", AgentError, agent, true),
            ("agent_rejected", ClockDatabase, Target::Database, true),
            ("agent_rejected", AgentDropAfter, agent, false),
            ("timed_out", ClockDatabase, Target::Database, true),
            ("timed_out", PauseAgent, agent, false),
            ("agent_lost_operation", AgentDropBefore, agent, false),
            ("artifact_incomplete", DiskFull, Target::Store, false),
            ("data_service_error", KillAgent, agent, false),
        ] {
            let found = check(&failing(reason, kind, target));
            assert_eq!(found.is_empty(), is_explained, "{reason} {kind:?}: {found:?}");
        }
    }

    #[test]
    fn a_fault_of_another_time_explains_nothing() {
        let mut facts = failing("agent_interrupted", Kind::KillAgent, Target::Agent(0));
        facts.faults = vec![sane::inflicted(Kind::KillAgent, Target::Agent(0), 30_000, 31_000)];
        assert_eq!(check(&facts).len(), 1);
    }

    #[test]
    fn a_long_silence_explains_a_deadline() {
        let mut facts = failing("timed_out", Kind::PauseAgent, Target::Agent(0));
        facts.changes.last_mut().unwrap().seen = 70_000;
        assert_eq!(check(&facts), []);
    }

    #[test]
    fn what_was_asked_for_is_no_accident() {
        let mut facts = failing("cancelled", Kind::KillApi, Target::Api(0));
        let row = facts.changes.last_mut().unwrap().new.as_mut().unwrap();
        row.cancel_requested_at = Some("2026-01-01T00:00:00Z".into());
        assert_eq!(check(&facts), []);
    }

    #[test]
    fn what_never_arrived_may_be_unknown_to_the_agent() {
        let mut facts = failing("agent_lost_operation", Kind::AgentDropBefore, Target::Agent(0));
        facts.agents[0].lines.clear();
        assert_eq!(check(&facts), []);
    }
}
