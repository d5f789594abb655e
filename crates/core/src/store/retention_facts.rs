//! What the rule of retention needs to know of an instance's backups, and no more: there may be very many.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::exists;
use diesel::prelude::*;

use super::schema::{backups, restores};
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::{BackupId, ServiceInstanceId};
use crate::domain::retention::RetentionFacts;
use crate::{Error, Result};

#[derive(Queryable)]
struct Row {
    id: i64,
    status: String,
    has_reason: bool,
    triggered_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    marked_deleted_at: Option<DateTime<Utc>>,
    remove_at_once: bool,
    held_by_restore: bool,
}

/// The facts on all backups of the instance, newest first.
pub fn list(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Vec<RetentionFacts>> {
    let unfinished =
        restores::backup_row_id.eq(backups::id).and(restores::status.eq_any(["queued", "running"]));
    backups::table
        .filter(backups::service_instance_id.eq(instance.0))
        .order(backups::id.desc())
        .select((
            backups::id,
            backups::status,
            backups::reason_code.is_not_null(),
            backups::triggered_at,
            backups::finished_at,
            backups::marked_deleted_at,
            backups::remove_at_once,
            exists(restores::table.filter(unfinished)),
        ))
        .load_iter::<Row, diesel::pg::PgRowByRowLoadingMode>(conn)?
        .map(|row| into_domain(row?))
        .collect()
}

fn into_domain(row: Row) -> Result<RetentionFacts> {
    let status = BackupStatus::parse(&row.status)
        .ok_or_else(|| Error::Internal(format!("backup {} has the unknown status {}", row.id, row.status)))?;
    Ok(RetentionFacts {
        id: BackupId(row.id),
        status,
        was_done: status.was_done(row.has_reason),
        triggered_at: row.triggered_at,
        finished_at: row.finished_at,
        marked_deleted_at: row.marked_deleted_at,
        remove_at_once: row.remove_at_once,
        held_by_restore: row.held_by_restore,
    })
}
