//! What is old in the tables that would otherwise only grow, and its removal. Every statement finds its rows by an index that
//! begins with the oldest, takes a bounded number of them, and passes over what somebody is using.

use std::time::Duration;

use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};

use crate::Result;
use crate::manager::HistoryPolicy;

/// A table with old rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Who did what.
    AuditEvents,
    /// Restores that have ended.
    Restores,
    /// Rehearsals that have ended.
    Rehearsals,
    /// What searches for lost backups have found.
    CatalogueFindings,
    /// Keys of instances that no backup was made with any more.
    EncryptionKeys,
    /// Deleted instances of which nothing else is left.
    ServiceInstances,
}

/// So many searches for lost backups are kept, with what they have found; like reconciliations.
const KEPT_REBUILDS: i64 = 30;

impl Table {
    /// Every table, those before others whose rows they refer to.
    pub const ALL: [Self; 6] = [
        Self::AuditEvents,
        Self::Restores,
        Self::Rehearsals,
        Self::CatalogueFindings,
        Self::EncryptionKeys,
        Self::ServiceInstances,
    ];

    /// Its name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuditEvents => "audit_events",
            Self::Restores => "restores",
            Self::Rehearsals => "rehearsals",
            Self::CatalogueFindings => "catalogue_findings",
            Self::EncryptionKeys => "encryption_keys",
            Self::ServiceInstances => "service_instances",
        }
    }
}

/// Removes at most `limit` old rows of one table, the oldest first; returns how many.
pub fn delete_old(
    conn: &mut PgConnection,
    table: Table,
    policy: &HistoryPolicy,
    limit: i64,
) -> Result<usize> {
    match table {
        Table::AuditEvents => older_than(conn, policy.audit_events, limit, AUDIT_EVENTS),
        Table::Restores => older_than(conn, policy.restores, limit, RESTORES),
        Table::Rehearsals => older_than(conn, policy.rehearsals, limit, REHEARSALS),
        Table::CatalogueFindings => rebuilds(conn, limit),
        Table::EncryptionKeys => {
            Ok(diesel::sql_query(ENCRYPTION_KEYS).bind::<BigInt, _>(limit).execute(conn)?)
        }
        Table::ServiceInstances => older_than(conn, policy.deleted_instances, limit, SERVICE_INSTANCES),
    }
}

/// Runs a statement with the age in seconds as its first parameter and the limit as its second.
fn older_than(
    conn: &mut PgConnection,
    kept: Option<Duration>,
    limit: i64,
    statement: &'static str,
) -> Result<usize> {
    let Some(kept) = kept else { return Ok(0) };
    let statement = diesel::sql_query(statement).bind::<Double, _>(kept.as_secs_f64());
    Ok(statement.bind::<BigInt, _>(limit).execute(conn)?)
}

// An event's age is written as its index by time is.
const AUDIT_EVENTS: &str = "
    DELETE FROM audit_events WHERE id = ANY (ARRAY (
        SELECT id FROM audit_events WHERE (at AT TIME ZONE 'UTC') < ((now() - make_interval(secs => $1)) AT TIME ZONE 'UTC')
        ORDER BY (at AT TIME ZONE 'UTC'), id LIMIT $2))";

const RESTORES: &str = "
    DELETE FROM restores WHERE id = ANY (ARRAY (
        SELECT id FROM restores WHERE status IN ('done', 'failed') AND finished_at < now() - make_interval(secs => $1)
        ORDER BY finished_at LIMIT $2))";

const REHEARSALS: &str = "
    DELETE FROM rehearsals WHERE id = ANY (ARRAY (
        SELECT id FROM rehearsals WHERE status IN ('done', 'failed') AND finished_at < now() - make_interval(secs => $1)
        ORDER BY finished_at LIMIT $2))";

// A key that was replaced just now may be on its way into the row of a backup: those of the last day stay.
const ENCRYPTION_KEYS: &str = "
    DELETE FROM encryption_keys WHERE id = ANY (ARRAY (
        SELECT k.id FROM encryption_keys k
        WHERE NOT k.is_current AND k.created_at < now() - interval '1 day'
            AND NOT EXISTS (SELECT FROM backups b
                            WHERE b.service_instance_id = k.service_instance_id AND b.encryption_key_id = k.id OFFSET 0)
        ORDER BY k.id LIMIT $1))";

// With its keys, which refer to it; anything else that does is a reason to keep it.
const SERVICE_INSTANCES: &str = "
    WITH gone AS MATERIALIZED (
        SELECT i.id FROM service_instances i
        WHERE i.deleted_at < now() - make_interval(secs => $1)
            AND NOT EXISTS (SELECT FROM backups WHERE service_instance_id = i.id OFFSET 0)
            AND NOT EXISTS (SELECT FROM restores WHERE service_instance_id = i.id OFFSET 0)
            AND NOT EXISTS (SELECT FROM rehearsals WHERE service_instance_id = i.id OFFSET 0)
        ORDER BY i.deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ), keys AS (
        DELETE FROM encryption_keys WHERE service_instance_id = ANY (ARRAY (SELECT id FROM gone))
    )
    DELETE FROM service_instances WHERE id = ANY (ARRAY (SELECT id FROM gone))";

/// A search may have found as many folders as there were backups: its findings go in batches, and the search with its last.
fn rebuilds(conn: &mut PgConnection, limit: i64) -> Result<usize> {
    let old = "SELECT id FROM catalogue_rebuilds WHERE finished_at IS NOT NULL
               AND id NOT IN (SELECT id FROM catalogue_rebuilds ORDER BY id DESC LIMIT $1)";
    let findings = diesel::sql_query(format!(
        "DELETE FROM catalogue_findings WHERE id = ANY (ARRAY (
             SELECT id FROM catalogue_findings WHERE rebuild_id IN ({old}) ORDER BY rebuild_id, id LIMIT $2))"
    ))
    .bind::<BigInt, _>(KEPT_REBUILDS)
    .bind::<BigInt, _>(limit)
    .execute(conn)?;
    diesel::sql_query(format!(
        "DELETE FROM catalogue_rebuilds r WHERE id IN ({old}) AND NOT EXISTS (SELECT FROM catalogue_findings f WHERE f.rebuild_id = r.id)"
    ))
    .bind::<BigInt, _>(KEPT_REBUILDS)
    .execute(conn)?;
    Ok(findings)
}
