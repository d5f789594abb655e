//! The promises, one file each: pure functions from [`Facts`] to what was broken. Each has tests with doctored facts, since
//! an audit that cannot fail proves nothing.

mod artifacts;
mod deletions;
mod journals;
mod moves;
mod once;
mod reasons;
mod requests;
mod restored;

#[cfg(test)]
mod sane;

use std::fmt;

use serde::Serialize;

use crate::facts::Facts;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// What was found, with the numbers to look for.
    pub finding: String,
}

impl Violation {
    fn new(promise: &'static str, finding: impl Into<String>) -> Self {
        Self { promise, finding: finding.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.finding)
    }
}

/// Checks every promise.
#[must_use]
pub fn check(facts: &Facts) -> Vec<Violation> {
    let checks = [
        requests::check,
        once::check,
        journals::check,
        reasons::check,
        moves::check,
        artifacts::check,
        deletions::check,
        restored::check,
        accidents,
    ];
    checks.iter().flat_map(|check| check(facts)).collect()
}

fn accidents(facts: &Facts) -> Vec<Violation> {
    facts.accidents.iter().map(|text| Violation::new("no process ends by itself or panics", text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_world_breaks_no_promise() {
        assert_eq!(check(&sane::world()), []);
    }

    #[test]
    fn an_accident_is_reported() {
        let mut facts = sane::world();
        facts.accidents.push("worker-1 ended with signal 11".into());
        assert_eq!(check(&facts).len(), 1);
    }
}
