//! The windows of base backups, and the moments restores are to reach.

use backup_protocol::{PitrWindow, PitrWindowState};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::upsert::excluded;

use super::backups::reverse;
use super::schema::{backups, pitr_windows, recovery_targets, service_instances};
use crate::Result;
use crate::domain::identifiers::{BackupId, RestoreId, ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::pitr::Window;

type Row = (i64, DateTime<Utc>, DateTime<Utc>, String, String, Option<String>);

/// The windows of the instance's `done` backups.
pub fn list(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Vec<Window>> {
    let rows: Vec<Row> = pitr_windows::table
        .inner_join(backups::table)
        .filter(backups::service_instance_id.eq(instance.0).and(backups::status.eq("done")))
        .order(pitr_windows::backup_row_id)
        .select((
            pitr_windows::backup_row_id,
            pitr_windows::start_at,
            pitr_windows::end_at,
            pitr_windows::last_segment,
            pitr_windows::state,
            pitr_windows::reason,
        ))
        .load(conn)?;
    let into_domain = |(backup, start, end, last_segment, state, reason): Row| Window {
        backup: BackupId(backup),
        start,
        end,
        last_segment,
        state: match state.as_str() {
            "open" => PitrWindowState::Open,
            "continued" => PitrWindowState::Continued,
            _ => PitrWindowState::Broken,
        },
        reason,
    };
    Ok(rows.into_iter().map(into_domain).collect())
}

/// Writes down what the instance's agent says of its windows. What it says of backups that are not the instance's, or not
/// `done`, is nobody's.
pub fn upsert(conn: &mut PgConnection, instance: ServiceInstanceId, windows: &[PitrWindow]) -> Result<()> {
    for window in windows.iter().filter(|window| window.start_time <= window.end_time) {
        let backup: Option<i64> = backups::table
            .filter(backups::service_instance_id.eq(instance.0))
            .filter(reverse(backups::backup_id).eq(reverse(&window.backup_id)))
            .filter(backups::status.eq("done"))
            .select(backups::id)
            .first(conn)
            .optional()?;
        let Some(backup) = backup else { continue };
        let state = match window.state {
            PitrWindowState::Open => "open",
            PitrWindowState::Continued => "continued",
            PitrWindowState::Broken => "broken",
        };
        diesel::insert_into(pitr_windows::table)
            .values((
                pitr_windows::backup_row_id.eq(backup),
                pitr_windows::start_at.eq(window.start_time),
                pitr_windows::end_at.eq(window.end_time),
                pitr_windows::last_segment.eq(&window.last_segment),
                pitr_windows::state.eq(state),
                pitr_windows::reason.eq(&window.reason),
            ))
            .on_conflict(pitr_windows::backup_row_id)
            .do_update()
            .set((
                pitr_windows::end_at.eq(excluded(pitr_windows::end_at)),
                pitr_windows::last_segment.eq(excluded(pitr_windows::last_segment)),
                pitr_windows::state.eq(excluded(pitr_windows::state)),
                pitr_windows::reason.eq(excluded(pitr_windows::reason)),
                pitr_windows::updated_at.eq(diesel::dsl::now),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Live instances to which moments are promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct PitrCounts {
    /// All of them.
    #[diesel(sql_type = BigInt)]
    pub instances: i64,
    /// Those without a window that grows: broken, none yet, or standing still for a quarter of an hour.
    #[diesel(sql_type = BigInt)]
    pub broken: i64,
}

/// Counts them.
pub fn count(conn: &mut PgConnection) -> Result<PitrCounts> {
    let sql = "SELECT count(*) AS instances, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM pitr_windows \
               JOIN backups ON backups.id = backup_row_id WHERE service_instance_id = service_instances.id \
               AND status = 'done' AND pitr_windows.state = 'open' AND end_at > now() - interval '15 minutes')) AS broken \
               FROM service_instances WHERE backup_type IS NOT NULL AND deleted_at IS NULL";
    Ok(diesel::sql_query(sql).get_result(conn)?)
}

/// Live instances whose agents archive a log.
pub fn list_instances(conn: &mut PgConnection) -> Result<Vec<ServiceInstanceGuid>> {
    let guids: Vec<String> = service_instances::table
        .filter(service_instances::deleted_at.is_null().and(service_instances::backup_type.is_not_null()))
        .order(service_instances::id)
        .select(service_instances::guid)
        .load(conn)?;
    Ok(guids.iter().filter_map(|guid| ServiceInstanceGuid::parse(guid)).collect())
}

/// Records the moment a restore is to reach.
pub fn insert_target(
    conn: &mut PgConnection,
    restore: RestoreId,
    moment: DateTime<Utc>,
    last_segment: &str,
) -> Result<()> {
    let values = (
        recovery_targets::restore_row_id.eq(restore.0),
        recovery_targets::moment.eq(moment),
        recovery_targets::last_segment.eq(last_segment),
    );
    diesel::insert_into(recovery_targets::table).values(values).execute(conn)?;
    Ok(())
}

/// The moment a restore is to reach, and the last piece of the log its window needs.
pub fn find_target(conn: &mut PgConnection, restore: RestoreId) -> Result<Option<(DateTime<Utc>, String)>> {
    let columns = (recovery_targets::moment, recovery_targets::last_segment);
    Ok(recovery_targets::table.find(restore.0).select(columns).first(conn).optional()?)
}
