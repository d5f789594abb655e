//! The restores. Dispatching and watching, which backups share, are in `operations.rs`.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;

use super::schema::restores;
use crate::domain::backup::Backup;
use crate::domain::identifiers::{BackupId, RestoreId, ServiceInstanceId};
use crate::domain::restore::{Restore, RestoreStatus};
use crate::{Error, Result};

#[derive(Queryable, Selectable)]
#[diesel(table_name = restores, check_for_backend(diesel::pg::Pg))]
struct RestoreRow {
    id: i64,
    service_instance_id: i64,
    backup_row_id: i64,
    restored_from: DateTime<Utc>,
    restore_id: String,
    status: String,
    bytes_processed: i64,
    total_bytes_estimate: Option<i64>,
    reason_code: Option<String>,
    msg: Option<String>,
    triggered_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

fn into_domain(row: RestoreRow) -> Result<Restore> {
    let status = RestoreStatus::parse(&row.status).ok_or_else(|| {
        Error::Internal(format!("restore {} has the unknown status {}", row.id, row.status))
    })?;
    Ok(Restore {
        id: RestoreId(row.id),
        instance: ServiceInstanceId(row.service_instance_id),
        backup: BackupId(row.backup_row_id),
        restored_from: row.restored_from,
        restore_id: row.restore_id,
        status,
        bytes_processed: row.bytes_processed,
        total_bytes_estimate: row.total_bytes_estimate,
        reason_code: row.reason_code,
        msg: row.msg,
        triggered_at: row.triggered_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        updated_at: row.updated_at,
    })
}

/// Inserts a queued restore of `backup` into `target`; the database refuses it unless the backup is `done` and no
/// other restore of the target is unfinished.
pub fn insert(
    conn: &mut PgConnection,
    target: ServiceInstanceId,
    backup: &Backup,
    restore_id: &str,
) -> Result<RestoreId> {
    let id = diesel::insert_into(restores::table)
        .values((
            restores::service_instance_id.eq(target.0),
            restores::backup_row_id.eq(backup.id.0),
            restores::backup_id.eq(&backup.backup_id),
            restores::restored_from.eq(backup.started_at.unwrap_or(backup.triggered_at)),
            restores::restore_id.eq(restore_id),
        ))
        .returning(restores::id)
        .get_result(conn)?;
    Ok(RestoreId(id))
}

/// One restore of the instance.
pub fn find(conn: &mut PgConnection, instance: ServiceInstanceId, id: RestoreId) -> Result<Option<Restore>> {
    restores::table
        .filter(restores::service_instance_id.eq(instance.0).and(restores::id.eq(id.0)))
        .select(RestoreRow::as_select())
        .first(conn)
        .optional()?
        .map(into_domain)
        .transpose()
}

/// One restore by its number alone.
pub fn get(conn: &mut PgConnection, id: RestoreId) -> Result<Restore> {
    restores::table
        .find(id.0)
        .select(RestoreRow::as_select())
        .first(conn)
        .optional()?
        .map(into_domain)
        .transpose()?
        .ok_or(Error::RestoreNotFound(id))
}

/// All restores of the given instances, newest first.
pub fn list(conn: &mut PgConnection, instances: &[ServiceInstanceId]) -> Result<Vec<Restore>> {
    let instances: Vec<i64> = instances.iter().map(|id| id.0).collect();
    restores::table
        .filter(restores::service_instance_id.eq_any(instances))
        .order(restores::id.desc())
        .select(RestoreRow::as_select())
        .load(conn)?
        .into_iter()
        .map(into_domain)
        .collect()
}

/// At most `limit` restores into one instance, newest first; those older than `before`.
pub fn list_before(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    before: Option<RestoreId>,
    limit: i64,
) -> Result<Vec<Restore>> {
    let before = before.map_or(i64::MAX, |id| id.0);
    restores::table
        .filter(restores::service_instance_id.eq(instance.0).and(restores::id.lt(before)))
        .order(restores::id.desc())
        .limit(limit)
        .select(RestoreRow::as_select())
        .load(conn)?
        .into_iter()
        .map(into_domain)
        .collect()
}

/// `running` → `done`.
pub fn update_done(conn: &mut PgConnection, id: RestoreId, bytes_processed: i64) -> Result<()> {
    diesel::update(restores::table.find(id.0))
        .set((
            restores::status.eq("done"),
            restores::bytes_processed.eq(bytes_processed),
            restores::msg.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}
