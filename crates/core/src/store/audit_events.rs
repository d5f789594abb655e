//! Who did what: rows are added, never changed.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};

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

/// Adds events of one kind, each of an instance with its subject, in one statement.
pub fn insert_many(
    conn: &mut PgConnection,
    actor: &Actor,
    action: AuditAction,
    events: &[(&ServiceInstanceGuid, String)],
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "INSERT INTO audit_events (actor, action, address, request_id, service_instance_guid, subject)
         SELECT $1, $2, $3, $4, event.* FROM unnest($5, $6) AS event",
    )
    .bind::<Text, _>(&actor.name)
    .bind::<Text, _>(action.as_str())
    .bind::<Nullable<Text>, _>(&actor.address)
    .bind::<Nullable<Text>, _>(&actor.request_id)
    .bind::<Array<Text>, _>(events.iter().map(|(instance, _)| instance.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(events.iter().map(|(_, subject)| subject.as_str()).collect::<Vec<_>>())
    .execute(conn)?;
    Ok(())
}

/// Whether there is such an event of the last minute. Reads the latest of the instance's, by their index.
pub fn is_of_last_minute(
    conn: &mut PgConnection,
    actor: &Actor,
    action: AuditAction,
    instance: &ServiceInstanceGuid,
    subject: &str,
) -> Result<bool> {
    // The concatenations keep the indexes of these away.
    let same = audit_events::table
        .filter(audit_events::service_instance_guid.eq(instance.as_str()))
        .filter(sql::<Bool>("at > now() - interval '1 minute'"))
        .filter(sql::<Bool>("actor || '' = ").bind::<Text, _>(&actor.name))
        .filter(sql::<Bool>("action || '' = ").bind::<Text, _>(action.as_str()))
        .filter(audit_events::subject.eq(subject));
    Ok(diesel::select(exists(same)).get_result(conn)?)
}

/// Whether there is such an event of the instance, later than `at`.
pub fn is_later_than(
    conn: &mut PgConnection,
    action: AuditAction,
    instance: &ServiceInstanceGuid,
    at: DateTime<Utc>,
) -> Result<bool> {
    let same = audit_events::table
        .filter(audit_events::service_instance_guid.eq(instance.as_str()).and(audit_events::at.gt(at)))
        .filter(sql::<Bool>("action || '' = ").bind::<Text, _>(action.as_str()));
    Ok(diesel::select(exists(same)).get_result(conn)?)
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

/// The newest `limit` events that pass the filter. Each combination of filters is written so that only the index made
/// for it can be used, and reads little more than it shows: `no_filter_of_the_audit_trail_reads_its_history`.
pub fn list(conn: &mut PgConnection, filter: &AuditFilter, limit: i64) -> Result<Vec<AuditEvent>> {
    let mut query = audit_events::table.select(EventRow::as_select()).into_boxed();
    match (&filter.instance, &filter.actor, filter.action) {
        (Some(instance), actor, action) => {
            query = query.filter(audit_events::service_instance_guid.eq(instance.as_str()));
            // The concatenation keeps the indexes of these away: one instance has fewer events.
            if let Some(actor) = actor {
                query = query.filter(sql::<Bool>("actor || '' = ").bind::<Text, _>(actor));
            }
            if let Some(action) = action {
                query = query.filter(sql::<Bool>("action || '' = ").bind::<Text, _>(action.as_str()));
            }
        }
        (None, Some(actor), Some(action)) => {
            let both = format!("{}/{actor}", action.as_str());
            query = query.filter(sql::<Bool>("action || '/' || actor = ").bind::<Text, _>(both));
        }
        (None, Some(actor), None) => query = query.filter(audit_events::actor.eq(actor)),
        (None, None, Some(action)) => query = query.filter(audit_events::action.eq(action.as_str())),
        (None, None, None) => {}
    }
    let has_filter = filter.instance.is_some() || filter.actor.is_some() || filter.action.is_some();
    let zone = if has_filter { "" } else { " AT TIME ZONE 'UTC'" };
    if let Some(since) = filter.since {
        let is_since = sql::<Bool>(&format!("at{zone} >= ")).bind::<Timestamptz, _>(since).sql(zone);
        query = query.filter(is_since);
    }
    if let Some(before) = filter.before {
        let is_before = sql::<Bool>(&format!("at{zone} < ")).bind::<Timestamptz, _>(before).sql(zone);
        query = query.filter(is_before);
    }
    if let Some(id) = filter.before_id {
        let Some(at) = time_of(conn, id)? else { return Ok(Vec::new()) };
        // Compared as a row, because only that is a range of an index.
        let is_behind = sql::<Bool>(&format!("(at{zone}, id) < (")).bind::<Timestamptz, _>(at);
        query = query.filter(is_behind.sql(&format!("{zone}, ")).bind::<BigInt, _>(id).sql(")"));
    }
    let newest_first = sql::<Text>(&format!("at{zone} DESC, id DESC"));
    let rows = query.order(newest_first).limit(limit).load(conn)?;
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
