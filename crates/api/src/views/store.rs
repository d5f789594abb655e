//! The configured stores, and what the doctor found in one. Names, kinds and words, never a credential.

use backup_core::objects::{Examination, Outcome, Step};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::View;
use super::schema::words;

/// One store of the configuration.
#[derive(Serialize, ToSchema)]
#[schema(as = Store)]
pub(crate) struct StoreView {
    /// Its name.
    name: String,
    #[schema(schema_with = kind)]
    kind: &'static str,
}

impl StoreView {
    pub(crate) fn new(name: &str, kind: &'static str) -> Self {
        Self { name: name.to_owned(), kind }
    }
}

impl View for StoreView {
    fn example() -> Self {
        Self::new("main", "s3")
    }
}

/// What the doctor found.
#[derive(Serialize, ToSchema)]
#[schema(as = StoreCheck)]
pub(crate) struct StoreCheckView {
    /// Name of the store.
    name: String,
    /// Whether a backup, a restore and a deletion would work, as far as the manager can tell.
    is_healthy: bool,
    /// What was tried, in this order.
    steps: Vec<StoreStepView>,
}

/// One thing that was tried.
#[derive(Serialize, ToSchema)]
#[schema(as = StoreStep)]
pub(crate) struct StoreStepView {
    /// What was tried.
    name: &'static str,
    #[schema(schema_with = outcome)]
    outcome: &'static str,
    /// How long it took.
    #[schema(minimum = 0)]
    duration_ms: i64,
    /// What is wrong, in words.
    problem: Option<String>,
    /// What to do about it.
    advice: Option<String>,
}

impl StoreCheckView {
    pub(crate) fn new(name: &str, found: Examination) -> Self {
        let is_healthy = found.is_healthy();
        Self { name: name.to_owned(), is_healthy, steps: found.steps.into_iter().map(Into::into).collect() }
    }
}

impl View for StoreCheckView {
    fn example() -> Self {
        let step = |name, outcome, problem: Option<&str>, advice: Option<&str>| StoreStepView {
            name,
            outcome,
            duration_ms: 12,
            problem: problem.map(str::to_owned),
            advice: advice.map(str::to_owned),
        };
        let problem = Some("the store does not know the access key");
        let advice = Some("Check `access_key_id`: it may have been deleted, or belong to another store.");
        Self {
            name: "main".to_owned(),
            is_healthy: false,
            steps: vec![step("write", "failed", problem, advice), step("read", "skipped", None, None)],
        }
    }
}

impl From<Step> for StoreStepView {
    fn from(step: Step) -> Self {
        let (outcome, problem, advice) = match step.outcome {
            Outcome::Passed => ("passed", None, None),
            Outcome::Failed { problem, advice } => ("failed", Some(problem), Some(advice)),
            Outcome::Skipped => ("skipped", None, None),
        };
        let duration_ms = i64::try_from(step.duration.as_millis()).unwrap_or(i64::MAX);
        Self { name: step.name, outcome, duration_ms, problem, advice }
    }
}

fn kind() -> Schema {
    words(&["local", "s3", "azure", "gcs", "other"])
}

fn outcome() -> Schema {
    words(&["passed", "failed", "skipped"])
}
