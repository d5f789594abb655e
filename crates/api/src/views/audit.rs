//! Who did what.

use backup_core::domain::audit::AuditEvent;
use serde::Serialize;

use super::Timestamp;

/// One event of the audit trail.
#[derive(Serialize)]
pub(crate) struct AuditEventView {
    id: i64,
    at: Timestamp,
    /// User name, or `worker` for what the manager did by itself.
    actor: String,
    /// Address the request came from.
    address: Option<String>,
    action: String,
    /// GUID of the instance concerned.
    instance_id: Option<String>,
    /// What exactly, for a person; never a secret.
    subject: Option<String>,
    /// `X-Request-Id` of the request, as in the logs.
    request_id: Option<String>,
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
