//! Shows who did what, newest first: one page of the audit trail.

use crate::Result;
use crate::domain::audit::{AuditEvent, AuditFilter};
use crate::manager::Manager;
use crate::store::audit_events;

/// A page of events.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// Newest first.
    pub events: Vec<AuditEvent>,
    /// [`AuditFilter::before_id`] of the next page; none at the end.
    pub next: Option<i64>,
}

/// The newest `limit` events that pass the filter.
pub async fn list_audit_events(manager: &Manager, filter: AuditFilter, limit: usize) -> Result<AuditPage> {
    // One more than is shown tells whether there is a next page.
    let wanted = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut events =
        manager.database.transaction(move |conn| audit_events::list(conn, &filter, wanted)).await?;
    let has_more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| has_more).map(|last| last.id);
    Ok(AuditPage { events, next })
}
