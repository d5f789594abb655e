//! Who did what.

use backup_core::domain::audit::AuditEvent;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{EXAMPLE_GUID, audit_action, example_time, time};
use super::{Timestamp, View};

/// One event of the audit trail.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub(crate) struct AuditEventView {
    #[schema(minimum = 1)]
    id: i64,
    #[schema(schema_with = time)]
    at: Timestamp,
    /// User name, or `worker` for what the manager did by itself.
    actor: String,
    /// Address the request came from.
    address: Option<String>,
    #[schema(schema_with = audit_action)]
    action: String,
    /// GUID of the instance concerned.
    instance_id: Option<String>,
    /// What exactly, for a person; never a secret.
    subject: Option<String>,
    /// `X-Request-Id` of the request, as in the logs.
    request_id: Option<String>,
}

impl View for AuditEventView {
    fn example() -> Self {
        Self {
            id: 7,
            at: example_time(0),
            actor: "admin".to_owned(),
            address: Some("192.0.2.7".to_owned()),
            action: "request_backup".to_owned(),
            instance_id: Some(EXAMPLE_GUID.to_owned()),
            subject: Some("backup 1".to_owned()),
            request_id: Some("0a6c2f5e-3d61-4d70-a6de-3b5c27d3c4f0".to_owned()),
        }
    }
}

impl From<AuditEvent> for AuditEventView {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id,
            at: Timestamp(event.at),
            actor: event.actor,
            address: event.address,
            action: event.action,
            instance_id: event.instance,
            subject: event.subject,
            request_id: event.request_id,
        }
    }
}
