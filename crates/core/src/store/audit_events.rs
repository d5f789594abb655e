//! Who did what: rows are added, never changed.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Timestamptz};

use super::schema::audit_events;
use crate::Result;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditAction, AuditEvent, AuditFilter};
use crate::domain::identifiers::ServiceInstanceGuid;

/// Adds one event, in the transaction of what it tells about.
pub fn insert(
    conn: &mut PgConnection,
    actor: &Actor,
    action: AuditAction,
    instance: Option<&ServiceInstanceGuid>,
    subject: Option<String>,
) -> Result<()> {
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::actor.eq(&actor.name),
            audit_events::action.eq(action.as_str()),
            audit_events::service_instance_guid.eq(instance.map(ServiceInstanceGuid::as_str)),
            audit_events::subject.eq(subject),
            audit_events::address.eq(&actor.address),
            audit_events::request_id.eq(&actor.request_id),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_events, check_for_backend(diesel::pg::Pg))]
struct EventRow {
    id: i64,
    at: DateTime<Utc>,
    actor: String,
    action: String,
    service_instance_guid: Option<String>,
    subject: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
}

/// The newest `limit` events that pass the filter. The order is that of the indexes, so that every filter reads little
/// more than it shows: `no_filter_of_the_audit_trail_reads_its_history`.
pub fn list(conn: &mut PgConnection, filter: &AuditFilter, limit: i64) -> Result<Vec<AuditEvent>> {
    let mut query = audit_events::table.select(EventRow::as_select()).into_boxed();
    if let Some(instance) = &filter.instance {
        query = query.filter(audit_events::service_instance_guid.eq(instance.as_str()));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_events::actor.eq(actor));
    }
    if let Some(action) = filter.action {
        query = query.filter(audit_events::action.eq(action.as_str()));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit_events::at.ge(since));
    }
    if let Some(before) = filter.before {
        query = query.filter(audit_events::at.lt(before));
    }
    if let Some(id) = filter.before_id {
        let Some(at) = time_of(conn, id)? else { return Ok(Vec::new()) };
        // Compared as a row, because only that is a range of an index.
        let is_behind = sql::<Bool>("(at, id) < (").bind::<Timestamptz, _>(at).sql(", ");
        query = query.filter(is_behind.bind::<BigInt, _>(id).sql(")"));
    }
    let rows = query.order((audit_events::at.desc(), audit_events::id.desc())).limit(limit).load(conn)?;
    Ok(rows.into_iter().map(into_domain).collect())
}

/// The time of the event of this number, or of the last one before it.
fn time_of(conn: &mut PgConnection, id: i64) -> Result<Option<DateTime<Utc>>> {
    Ok(audit_events::table
        .filter(audit_events::id.le(id))
        .order(audit_events::id.desc())
        .select(audit_events::at)
        .first(conn)
        .optional()?)
}

fn into_domain(row: EventRow) -> AuditEvent {
    AuditEvent {
        id: row.id,
        at: row.at,
        actor: row.actor,
        address: row.address,
        action: row.action,
        instance: row.service_instance_guid,
        subject: row.subject,
        request_id: row.request_id,
    }
}
