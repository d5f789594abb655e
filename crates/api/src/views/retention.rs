//! What retention would do now, and why: the dry run.

use backup_core::actions::plan_deletions::Planned;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{EXAMPLE_BACKUP, EXAMPLE_GUID, backup_status, example_time, retention_action, time};
use super::{Timestamp, View};

/// The rule's word on one backup.
#[derive(Serialize, ToSchema)]
#[schema(as = RetentionDecision)]
pub(crate) struct RetentionView {
    /// The platform's GUID of the instance.
    instance_id: String,
    /// The number of the backup.
    #[schema(minimum = 1)]
    id: i64,
    /// The name of the backup towards agents and in the store.
    backup_id: String,
    #[schema(schema_with = backup_status)]
    status: &'static str,
    #[schema(schema_with = time)]
    triggered_at: Timestamp,
    /// `mark` takes it from the owner, `remove` takes it from the store.
    #[schema(schema_with = retention_action)]
    action: &'static str,
    /// Why, for a person.
    reason: String,
}

impl View for RetentionView {
    fn example() -> Self {
        Self {
            instance_id: EXAMPLE_GUID.to_owned(),
            id: 1,
            backup_id: EXAMPLE_BACKUP.to_owned(),
            status: "done",
            triggered_at: example_time(0),
            action: "keep",
            reason: "one of the 5 newest".to_owned(),
        }
    }
}

impl From<Planned> for RetentionView {
    fn from(planned: Planned) -> Self {
        Self {
            instance_id: planned.instance.to_string(),
            id: planned.backup.id.0,
            status: planned.backup.status.as_str(),
            triggered_at: Timestamp(planned.backup.triggered_at),
            action: planned.decision.action.as_str(),
            reason: planned.decision.reason.to_string(),
            backup_id: planned.backup.backup_id,
        }
    }
}
