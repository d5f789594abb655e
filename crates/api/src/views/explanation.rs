//! Why the next backup of an instance has not started.

use backup_core::domain::explanation::{Explanation, Facts, InFront, JobFacts, JobState, Line};
use backup_core::domain::places::KeptFor;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{EXAMPLE_GUID, example_time, explanation_reason, kept_for, time, time_or_null};
use super::{Timestamp, View};

/// Why the next backup of an instance has not started. Parts that do not apply are `null`.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct ExplanationView {
    /// The instance.
    instance_id: String,
    /// When this was so.
    #[schema(schema_with = time)]
    at: Timestamp,
    /// Why, for programs. New words may come.
    #[schema(schema_with = explanation_reason)]
    reason: &'static str,
    /// Why, for a person.
    summary: String,
    /// What to do next.
    advice: Option<String>,
    /// Since when it is so, as far as that can be said.
    #[schema(schema_with = time_or_null)]
    since: Option<Timestamp>,
    /// When something happens next, as far as that can be said.
    #[schema(schema_with = time_or_null)]
    next_at: Option<Timestamp>,
    /// The number of the backup that waits.
    backup_id: Option<i64>,
    /// Whether the schedule asked for it.
    is_scheduled: Option<bool>,
    /// The limit it waits for.
    limit: Option<LimitView>,
    /// The operation of the instance it waits behind; without a backup that waits: the one that runs.
    behind: Option<BehindView>,
    /// The attempts to start it, once one has failed.
    attempts: Option<AttemptsView>,
    /// When the schedule asks for the next backup.
    #[schema(schema_with = time_or_null)]
    next_scheduled_at: Option<Timestamp>,
}

/// A limit that binds.
#[derive(Serialize, ToSchema)]
#[schema(as = ExplanationLimit)]
struct LimitView {
    /// Its name.
    name: String,
    /// Its value.
    value: i64,
    /// Backups that run under it, or are on their way to their agents.
    running: i64,
    /// For whom its last places are kept; `null` when all are taken.
    #[schema(schema_with = kept_for)]
    kept_for: Option<&'static str>,
    /// Backups of the same owner that are ahead in the line, counted up to 1000.
    ahead: i64,
    /// Since when the backup stands in the line.
    #[schema(schema_with = time)]
    waiting_since: Timestamp,
}

/// An operation in front.
#[derive(Serialize, ToSchema)]
#[schema(as = ExplanationBehind)]
struct BehindView {
    /// `backup` or `restore`.
    kind: String,
    /// Its number.
    id: i64,
    /// Whether it runs; else it waits in front.
    is_running: bool,
    /// Since when.
    #[schema(schema_with = time)]
    since: Timestamp,
}

/// Attempts to start a backup.
#[derive(Serialize, ToSchema)]
#[schema(as = ExplanationAttempts)]
struct AttemptsView {
    /// So many were made, one under way included.
    made: i32,
    /// So many there are.
    of: i32,
    /// When the next one is made; `null` while one is under way.
    #[schema(schema_with = time_or_null)]
    next_at: Option<Timestamp>,
    /// What was wrong with the last one.
    last_error: Option<String>,
}

impl View for ExplanationView {
    fn example() -> Self {
        Self {
            instance_id: EXAMPLE_GUID.into(),
            at: example_time(90),
            reason: "limit",
            summary: "backup 148 waits: 100 of 100 run under limits.running_backups; 2 of the same owner are ahead of it".into(),
            advice: Some("wait until others end, or raise the limit under limits in the configuration".into()),
            since: Some(example_time(0)),
            next_at: None,
            backup_id: Some(148),
            is_scheduled: Some(true),
            limit: Some(LimitView {
                name: "limits.running_backups".into(),
                value: 100,
                running: 100,
                kept_for: None,
                ahead: 2,
                waiting_since: example_time(0),
            }),
            behind: None,
            attempts: None,
            next_scheduled_at: Some(example_time(86_400)),
        }
    }
}

impl ExplanationView {
    pub(crate) fn new(guid: &str, explanation: Explanation, facts: Facts) -> Self {
        Self {
            instance_id: guid.to_owned(),
            at: Timestamp(facts.now),
            reason: explanation.reason.as_str(),
            summary: explanation.summary,
            advice: explanation.advice,
            since: explanation.since.map(Timestamp),
            next_at: explanation.next_at.map(Timestamp),
            backup_id: facts.waiting.as_ref().map(|waiting| waiting.id),
            is_scheduled: facts.waiting.as_ref().map(|waiting| waiting.is_scheduled),
            limit: facts.line.and_then(LimitView::new),
            behind: facts.in_front.map(Into::into),
            attempts: facts.job.and_then(AttemptsView::new),
            next_scheduled_at: facts.next_scheduled_at.map(Timestamp),
        }
    }
}

impl LimitView {
    fn new(line: Line) -> Option<Self> {
        let bound = line.binding?;
        Some(Self {
            name: bound.name,
            value: bound.hindrance.limit,
            running: bound.hindrance.held,
            kept_for: bound.hindrance.kept_for.map(KeptFor::as_str),
            ahead: line.ahead,
            waiting_since: Timestamp(line.asked_at),
        })
    }
}

impl From<InFront> for BehindView {
    fn from(front: InFront) -> Self {
        Self { kind: front.kind, id: front.id, is_running: front.is_running, since: Timestamp(front.since) }
    }
}

impl AttemptsView {
    fn new(job: JobFacts) -> Option<Self> {
        let is_first = job.last_error.is_none();
        (!is_first).then(|| Self {
            made: job.attempt,
            of: job.max_attempts,
            next_at: (job.state != JobState::Running).then_some(Timestamp(job.run_at)),
            last_error: job.last_error,
        })
    }
}
