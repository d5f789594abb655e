//! What a run amounted to: for a person, as Markdown, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::audit::Violation;
use crate::facts::{Facts, Millis, Sort};
use crate::load::Meter;

/// The summary of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The seed of schedule and load.
    pub seed: u64,
    /// How long faults were injected, in milliseconds.
    pub lasted_ms: Millis,
    /// Everything from the first process to the last check, in milliseconds.
    pub whole_ms: Millis,
    /// By kind: how many, and how many requests proxies did it to.
    pub faults: BTreeMap<String, FaultCount>,
    /// By sort and outcome: `backup done`, `restore failed: cancelled`, …
    pub outcomes: BTreeMap<String, usize>,
    /// Requests that the load had accepted.
    pub accepted: usize,
    /// Restores of the load whose content was compared, and restores of the sample.
    pub compared: (usize, usize),
    /// Backups removed: asked for by clients, by retention.
    pub removed: (usize, usize),
    /// From the `kill -9` of a worker to the next question about each operation that ran at that moment.
    pub adoption: Adoption,
    /// The API as the load met it.
    pub api: Availability,
    /// Broken promises; none is what is wanted.
    pub violations: Vec<Violation>,
}

/// Faults of a kind.
#[derive(Debug, Default, Serialize)]
pub struct FaultCount {
    /// How often.
    pub injected: usize,
    /// Requests that met it; processes, clocks and disks meet none.
    pub requests: u64,
}

/// From the `kill -9` of a worker to the next question.
#[derive(Debug, Serialize)]
pub struct Adoption {
    /// Of all operations that ran at that moment.
    pub all: Spread,
    /// Of those that the killed process was asking about.
    pub orphans: Spread,
    /// Lease and poll interval together.
    pub lease_and_poll_ms: Millis,
}

/// Times in milliseconds.
#[derive(Debug, Serialize)]
pub struct Spread {
    /// How many operations.
    pub operations: usize,
    /// The middle one.
    pub median_ms: Millis,
    /// Nine of ten were as quick.
    pub p90_ms: Millis,
    /// The slowest.
    pub worst_ms: Millis,
}

/// Counts of calls.
#[derive(Debug, Serialize)]
pub struct Availability {
    /// Calls of the load, each with a second try at the other API where that is allowed.
    pub calls: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Single tries with a status from 500 on.
    pub refused: u64,
    /// Single tries without an answer.
    pub silent: u64,
}

impl Availability {
    /// Reads the meter.
    #[must_use]
    pub fn of(meter: &Meter) -> Self {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        Self {
            calls: read(&meter.calls),
            answered: read(&meter.answered),
            refused: read(&meter.refused),
            silent: read(&meter.silent),
        }
    }
}

impl Spread {
    /// Sums up times in ascending order.
    #[must_use]
    pub fn of(times: &[Millis]) -> Self {
        let at = |percent: usize| {
            let place = times.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
            times.get(place).copied().unwrap_or_default()
        };
        Self { operations: times.len(), median_ms: at(50), p90_ms: at(90), worst_ms: at(100) }
    }
}

impl Report {
    /// Counts what is in the facts.
    #[must_use]
    pub fn of(
        seed: u64,
        facts: &Facts,
        violations: Vec<Violation>,
        adoption: Adoption,
        api: Availability,
        (lasted_ms, whole_ms): (Millis, Millis),
    ) -> Self {
        let mut faults: BTreeMap<String, FaultCount> = BTreeMap::new();
        for inflicted in &facts.faults {
            let count = faults.entry(inflicted.fault.kind.to_string()).or_default();
            count.injected = count.injected.saturating_add(1);
            count.requests = count.requests.saturating_add(inflicted.requests.unwrap_or_default());
        }
        let by = |action: &str| facts.events.iter().filter(|event| event.action == action).count();
        let removed = facts.changes.iter().filter(|change| change.new.is_none()).count();
        let done =
            |request: &&crate::facts::Request| request.observed.last().is_some_and(|last| last == "done");
        let restored = facts
            .requests
            .iter()
            .filter(|request| request.is_restore && request.source.is_some())
            .filter(done);
        Self {
            seed,
            lasted_ms,
            whole_ms,
            faults,
            outcomes: outcomes(facts),
            accepted: facts.requests.len(),
            compared: (restored.count(), facts.samples.len()),
            removed: (by("delete_backup"), removed.saturating_sub(by("delete_backup"))),
            adoption,
            api,
            violations,
        }
    }

    /// For `docs`, and for people.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let injected: usize = self.faults.values().map(|count| count.injected).sum();
        let kept = if self.violations.is_empty() {
            "0 broken promises".to_owned()
        } else {
            format!("**{} broken promises**", self.violations.len())
        };
        let mut line = |written: String| {
            text.push_str(&written);
            text.push('\n');
        };
        line(format!(
            "Seed {}, {injected} faults in {}, {} with start, audit and restores: {kept}.\n",
            self.seed,
            minutes(self.lasted_ms),
            minutes(self.whole_ms)
        ));
        line("| | |\n|---|---|".into());
        line(format!("| requests accepted | {} |", self.accepted));
        line(format!(
            "| restores compared during the load / afterwards | {} / {} |",
            self.compared.0, self.compared.1
        ));
        line(format!(
            "| backups removed by clients / by retention | {} / {} |",
            self.removed.0, self.removed.1
        ));
        let adoption = &self.adoption;
        for (what, times) in
            [("that ran", &adoption.all), ("the killed worker was asking about", &adoption.orphans)]
        {
            line(format!(
                "| from a worker's `kill -9` to the next question, {} operations {what} | median {} s, 90 % {} s, worst {} s (lease + poll: {} s) |",
                times.operations,
                tenths(times.median_ms),
                tenths(times.p90_ms),
                tenths(times.worst_ms),
                tenths(adoption.lease_and_poll_ms)
            ));
        }
        let api = &self.api;
        line(format!(
            "| calls of the API answered | {} of {} ({} tries without an answer, {} with 5xx) |",
            api.answered, api.calls, api.silent, api.refused
        ));
        line("\n| Outcome | Number |\n|---|---|".into());
        for (outcome, number) in &self.outcomes {
            line(format!("| {outcome} | {number} |"));
        }
        line("\n| Fault | Number | Requests that met it |\n|---|---|---|".into());
        for (kind, count) in &self.faults {
            let requests = if count.requests > 0 { count.requests.to_string() } else { String::new() };
            line(format!("| {kind} | {} | {requests} |", count.injected));
        }
        for violation in &self.violations {
            // Writing to a String cannot fail.
            writeln!(text, "\n- {violation}").unwrap_or_default();
        }
        text
    }
}

fn outcomes(facts: &Facts) -> BTreeMap<String, usize> {
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for change in &facts.changes {
        let (Some(old), Some(new)) = (&change.old, &change.new) else { continue };
        if !matches!(old.status.as_str(), "queued" | "running")
            || old.status == new.status
            || new.status == "running"
        {
            continue;
        }
        let reason = new.reason_code.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let sort = match change.sort {
            Sort::Backup => "backup",
            Sort::Restore => "restore",
        };
        let count = outcomes.entry(format!("{sort} {}{reason}", new.status)).or_default();
        *count = count.saturating_add(1);
    }
    outcomes
}

fn minutes(ms: Millis) -> String {
    format!("{} min {} s", ms / 60_000, ms / 1000 % 60)
}

fn tenths(ms: Millis) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_worst_the_last() {
        let times: Vec<Millis> = (1..=100).collect();
        let spread = Spread::of(&times);
        assert_eq!((spread.median_ms, spread.p90_ms, spread.worst_ms), (50, 90, 100));
        let none = Spread::of(&[]);
        assert_eq!((none.median_ms, none.worst_ms), (0, 0));
        assert_eq!(Spread::of(&[7]).median_ms, 7);
    }
}
