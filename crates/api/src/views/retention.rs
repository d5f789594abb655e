//! What retention would do now, and why: the dry run.

use backup_core::actions::plan_deletions::Planned;
use serde::Serialize;

use super::Timestamp;

/// The rule's word on one backup.
#[derive(Serialize)]
pub(crate) struct RetentionView {
    instance_id: String,
    id: i64,
    backup_id: String,
    status: &'static str,
    triggered_at: Timestamp,
    action: &'static str,
    reason: String,
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
