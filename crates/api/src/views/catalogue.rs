//! A rebuild of the catalogue and what it finds.

use std::collections::BTreeMap;

use backup_core::domain::catalogue::{Finding, Rebuild};
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{
    EXAMPLE_BACKUP, EXAMPLE_BACKUP_GUID, EXAMPLE_GUID, example_time, finding_outcome, rebuild_status, time,
    time_or_null,
};
use super::{Timestamp, View};

/// `{"id": 1, "message": "…"}`
#[derive(Serialize, ToSchema)]
#[schema(as = RebuildRequested, description = "The rebuild that was recorded.")]
pub(crate) struct RebuildBegun {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    pub(crate) message: &'static str,
}

impl View for RebuildBegun {
    fn example() -> Self {
        Self { id: 1, message: "rebuild of the catalogue is queued" }
    }
}

/// A search for backups that lie in a store and have no row.
#[derive(Serialize, ToSchema)]
#[schema(as = Rebuild)]
pub(crate) struct RebuildView {
    #[schema(minimum = 1)]
    id: i64,
    /// Only this store; null means all that are configured.
    store: Option<String>,
    /// Nothing is adopted.
    dry_run: bool,
    #[schema(schema_with = rebuild_status)]
    status: &'static str,
    requested_by: String,
    #[schema(schema_with = time)]
    requested_at: Timestamp,
    #[schema(schema_with = time_or_null)]
    started_at: Option<Timestamp>,
    #[schema(schema_with = time_or_null)]
    finished_at: Option<Timestamp>,
    /// Folders of instances to look through.
    #[schema(minimum = 0)]
    folders_total: i64,
    /// Those that were looked through.
    #[schema(minimum = 0)]
    folders_done: i64,
    /// Backups that had a row already.
    #[schema(minimum = 0)]
    known: i64,
    /// How often each outcome was found; those that were not are left out.
    outcomes: BTreeMap<String, i64>,
    /// Why it waits or was given up.
    msg: Option<String>,
}

impl RebuildView {
    pub(crate) fn new(rebuild: Rebuild, outcomes: Vec<(String, i64)>) -> Self {
        Self {
            id: rebuild.id.0,
            store: rebuild.store,
            dry_run: rebuild.is_dry_run,
            status: rebuild.status.as_str(),
            requested_by: rebuild.requested_by,
            requested_at: Timestamp(rebuild.requested_at),
            started_at: rebuild.started_at.map(Timestamp),
            finished_at: rebuild.finished_at.map(Timestamp),
            folders_total: rebuild.folders_total,
            folders_done: rebuild.folders_done,
            known: rebuild.known,
            outcomes: outcomes.into_iter().collect(),
            msg: rebuild.msg,
        }
    }
}

impl View for RebuildView {
    fn example() -> Self {
        Self {
            id: 1,
            store: None,
            dry_run: false,
            status: "done",
            requested_by: "admin".to_owned(),
            requested_at: example_time(0),
            started_at: Some(example_time(1)),
            finished_at: Some(example_time(60)),
            folders_total: 3,
            folders_done: 3,
            known: 0,
            outcomes: [("adopted".to_owned(), 12), ("incomplete".to_owned(), 1)].into(),
            msg: None,
        }
    }
}

/// A backup's folder that had no row.
#[derive(Serialize, ToSchema)]
#[schema(as = CatalogueFinding)]
pub(crate) struct FindingView {
    #[schema(minimum = 1)]
    id: i64,
    #[schema(schema_with = finding_outcome)]
    outcome: String,
    /// The name of the store.
    store: String,
    /// The folder in it.
    path: String,
    /// Its last piece: the name of the backup towards agents and in the store.
    backup_id: String,
    /// The platform's GUID of the instance, if it could be read.
    instance_id: Option<String>,
    /// For a person.
    detail: Option<String>,
}

impl View for FindingView {
    fn example() -> Self {
        Self {
            id: 1,
            outcome: "adopted".to_owned(),
            store: "main".to_owned(),
            path: format!("backups/{EXAMPLE_BACKUP_GUID}/{EXAMPLE_BACKUP}"),
            backup_id: EXAMPLE_BACKUP.to_owned(),
            instance_id: Some(EXAMPLE_GUID.to_owned()),
            detail: Some("backup 1".to_owned()),
        }
    }
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        Self {
            id: finding.id,
            outcome: finding.outcome,
            store: finding.store,
            path: finding.path,
            backup_id: finding.backup_id,
            instance_id: finding.instance,
            detail: finding.detail,
        }
    }
}
