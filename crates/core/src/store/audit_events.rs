//! Who did what: rows are added, never changed.

use diesel::PgConnection;
use diesel::prelude::*;

use super::schema::audit_events;
use crate::Result;
use crate::domain::actor::Actor;
use crate::domain::identifiers::ServiceInstanceGuid;

/// Adds one event, in the transaction of what it tells about.
pub fn insert(
    conn: &mut PgConnection,
    actor: &Actor,
    action: &str,
    instance: Option<&ServiceInstanceGuid>,
    subject: Option<String>,
) -> Result<()> {
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::actor.eq(&actor.name),
            audit_events::action.eq(action),
            audit_events::service_instance_guid.eq(instance.map(ServiceInstanceGuid::as_str)),
            audit_events::subject.eq(subject),
            audit_events::address.eq(&actor.address),
            audit_events::request_id.eq(&actor.request_id),
        ))
        .execute(conn)?;
    Ok(())
}
