//! What the gate of deletions needs to know of an instance's backups, and no more: there may be very many.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::exists;
use diesel::prelude::*;

use super::holds::HoldRow;
use super::schema::{backups, holds, pitr_windows, rehearsals, restores};
use super::statuses::{UnfinishedRehearsal, UnfinishedRestore};
use crate::domain::backup::BackupStatus;
use crate::domain::deletion::DeletionFacts;
use crate::domain::hold::Hold;
use crate::domain::identifiers::{BackupId, ServiceInstanceId};
use crate::{Error, Result};

#[derive(Queryable)]
struct Row {
    id: i64,
    status: String,
    has_reason: bool,
    triggered_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    marked_deleted_at: Option<DateTime<Utc>>,
    removal_reason: Option<String>,
    has_remains: bool,
    is_used_by_restore: bool,
    is_used_by_rehearsal: bool,
    window_start: Option<DateTime<Utc>>,
    hold: Option<HoldRow>,
}

/// The facts on all backups of the instance, newest first.
pub fn list(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Vec<DeletionFacts>> {
    let unfinished = restores::backup_row_id.eq(backups::id).and(UnfinishedRestore);
    let rehearsed = rehearsals::backup_row_id.eq(backups::id).and(UnfinishedRehearsal);
    backups::table
        .left_join(holds::table)
        .left_join(pitr_windows::table)
        .filter(backups::service_instance_id.eq(instance.0))
        .order(backups::id.desc())
        .select((
            backups::id,
            backups::status,
            backups::reason_code.is_not_null(),
            backups::triggered_at,
            backups::finished_at,
            backups::marked_deleted_at,
            backups::removal_reason,
            backups::has_remains,
            exists(restores::table.filter(unfinished)),
            exists(rehearsals::table.filter(rehearsed)),
            pitr_windows::start_at.nullable(),
            Option::<HoldRow>::as_select(),
        ))
        .load_iter::<Row, diesel::pg::PgRowByRowLoadingMode>(conn)?
        .map(|row| into_domain(row?))
        .collect()
}

fn into_domain(row: Row) -> Result<DeletionFacts> {
    let status = BackupStatus::parse(&row.status)
        .ok_or_else(|| Error::Internal(format!("backup {} has the unknown status {}", row.id, row.status)))?;
    Ok(DeletionFacts {
        id: BackupId(row.id),
        status,
        was_done: status.was_done(row.has_reason),
        triggered_at: row.triggered_at,
        finished_at: row.finished_at,
        marked_deleted_at: row.marked_deleted_at,
        removal_reason: row.removal_reason,
        window_start: row.window_start,
        is_used_by_restore: row.is_used_by_restore,
        is_used_by_rehearsal: row.is_used_by_rehearsal,
        hold: row.hold.map(Hold::from),
        has_remains: row.has_remains,
    })
}
