//! What came out.

use serde::Serialize;

/// The outcome of every check, in the order they were made.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One per check.
    pub outcomes: Vec<Outcome>,
}

/// The outcome of one check.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The promise, as a sentence.
    pub name: &'static str,
    /// Whether it is kept.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Whether a promise is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "lowercase")]
pub enum Verdict {
    /// Seen to be kept.
    Passed,
    /// Not checked, and why.
    Skipped(String),
    /// Broken, and how.
    Failed(String),
}

impl Report {
    /// Whether no promise was seen broken.
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        !self.outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
    }

    /// The names of checks with a verdict of this kind, for tests and summaries.
    pub fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| is(&outcome.verdict)).count()
    }
}
