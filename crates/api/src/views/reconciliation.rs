//! A comparison of the three ledgers, and what it has found.

use std::collections::BTreeMap;

use backup_core::domain::reconciliation::{Class, FindingKind, Reconciliation, Remark};
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{
    EXAMPLE_BACKUP, EXAMPLE_GUID, example_time, finding_class, run_status, time, time_or_null,
};
use super::{Timestamp, View};

/// `{"id": 1}`
#[derive(Serialize, ToSchema)]
#[schema(description = "The reconciliation that was recorded.")]
pub(crate) struct ReconciliationRequested {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
}

/// A reconciliation, with a page of its findings.
#[derive(Serialize, ToSchema)]
#[schema(as = Reconciliation)]
pub(crate) struct ReconciliationView {
    #[schema(minimum = 1)]
    id: i64,
    #[schema(schema_with = run_status)]
    status: String,
    /// Who asked for it: a user's name, or `worker` for the schedule.
    requested_by: String,
    /// Whether differences that can be removed without loss are removed.
    repair: bool,
    /// Whether stored bytes are read and hashed.
    deep: bool,
    /// The one instance it is about; null for all.
    instance_id: Option<String>,
    /// What it works on, or did last: `instances`, `folders` of no instance, stored `bytes`.
    phase: &'static str,
    /// Instances there were when it began.
    #[schema(minimum = 0)]
    instances_total: i64,
    /// Instances it is done with.
    #[schema(minimum = 0)]
    instances_done: i64,
    /// Differences in all.
    #[schema(minimum = 0)]
    differences: i64,
    /// Differences by kind; kinds without any are left out.
    counts: BTreeMap<String, i64>,
    /// Agents and stores that could not be asked: nothing is known of what they hold.
    #[schema(minimum = 0)]
    not_compared: i64,
    /// Agents that do not list their operations.
    #[schema(minimum = 0)]
    notes: i64,
    /// Why it failed, or has to try again.
    msg: Option<String>,
    #[schema(schema_with = time)]
    requested_at: Timestamp,
    #[schema(schema_with = time_or_null)]
    started_at: Option<Timestamp>,
    #[schema(schema_with = time_or_null)]
    finished_at: Option<Timestamp>,
    /// What it says, in the order in which it was found.
    findings: Vec<FindingView>,
    /// `after` of the next page; null when this is the last of what is found so far.
    #[schema(minimum = 1)]
    next_after: Option<i64>,
}

/// Something a reconciliation says.
#[derive(Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingView {
    #[schema(schema_with = finding_class)]
    class: &'static str,
    /// What sort of difference; or `agent`, `store` or `journal`, which could not be read.
    kind: String,
    /// What it is about.
    subject: String,
    /// GUID of the instance concerned.
    instance_id: Option<String>,
    /// What exactly, for a person.
    details: String,
    /// What would remove the difference, as a word.
    repair: Option<String>,
    /// The same for a person.
    proposal: Option<String>,
    /// What became of the repair, when it was asked for and could be tried.
    outcome: Option<String>,
}

impl ReconciliationView {
    pub(crate) fn of(run: Reconciliation, remarks: Vec<(i64, Remark)>, limit: i64) -> Self {
        let is_full = i64::try_from(remarks.len()).is_ok_and(|count| count >= limit);
        let next_after = remarks.last().filter(|_| is_full).map(|(id, _)| *id);
        Self {
            id: run.id.0,
            status: run.status,
            requested_by: run.requested_by,
            repair: run.scope.is_repair,
            deep: run.scope.is_deep,
            instance_id: run.scope.instance.map(|guid| guid.to_string()),
            phase: run.phase.as_str(),
            instances_total: run.instances_total,
            instances_done: run.instances_done,
            differences: run.counts.values().fold(0_i64, |sum, count| sum.saturating_add(*count)),
            counts: run.counts,
            not_compared: run.not_compared,
            notes: run.notes,
            msg: run.msg,
            requested_at: Timestamp(run.requested_at),
            started_at: run.started_at.map(Timestamp),
            finished_at: run.finished_at.map(Timestamp),
            findings: remarks.into_iter().map(|(_, remark)| remark.into()).collect(),
            next_after,
        }
    }
}

impl From<Remark> for FindingView {
    fn from(remark: Remark) -> Self {
        Self {
            class: remark.class.as_str(),
            kind: remark.kind,
            subject: remark.subject,
            instance_id: remark.instance,
            details: remark.details,
            repair: remark.repair,
            proposal: remark.proposal,
            outcome: remark.outcome,
        }
    }
}

impl View for ReconciliationRequested {
    fn example() -> Self {
        Self { id: 1 }
    }
}

impl View for ReconciliationView {
    fn example() -> Self {
        Self {
            id: 1,
            status: "done".to_owned(),
            requested_by: "admin".to_owned(),
            repair: false,
            deep: false,
            instance_id: None,
            phase: "folders",
            instances_total: 1,
            instances_done: 1,
            differences: 1,
            counts: BTreeMap::from([(FindingKind::RowWithoutObject.as_str().to_owned(), 1)]),
            not_compared: 0,
            notes: 0,
            msg: None,
            requested_at: example_time(0),
            started_at: Some(example_time(1)),
            finished_at: Some(example_time(2)),
            findings: vec![FindingView {
                class: Class::Difference.as_str(),
                kind: FindingKind::RowWithoutObject.as_str().to_owned(),
                subject: format!("backup 1 ({EXAMPLE_BACKUP})"),
                instance_id: Some(EXAMPLE_GUID.to_owned()),
                details: "not in the store: data.00001".to_owned(),
                repair: Some("by_hand".to_owned()),
                proposal: Some("bring the objects back, or give the backup up".to_owned()),
                outcome: None,
            }],
            next_after: None,
        }
    }
}
