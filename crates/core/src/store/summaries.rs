//! Backups as instance objects show them: few columns, and no look at holds, restores and rehearsals, because a list of
//! instances has very many of them.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;

use super::schema::{backups, encryption_keys};
use crate::domain::backup::{BackupStatus, BackupSummary};
use crate::domain::identifiers::{BackupId, ServiceInstanceId};
use crate::{Error, Result};

#[derive(Queryable)]
struct Row {
    id: i64,
    service_instance_id: i64,
    backup_id: String,
    status: String,
    size: i64,
    msg: Option<String>,
    triggered_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    is_own: bool,
    is_current: bool,
}

macro_rules! select_summaries {
    () => {
        backups::table.inner_join(encryption_keys::table).order(backups::id.desc()).select((
            backups::id,
            backups::service_instance_id,
            backups::backup_id,
            backups::status,
            backups::size,
            backups::msg,
            backups::triggered_at,
            backups::updated_at,
            encryption_keys::is_own,
            encryption_keys::is_current,
        ))
    };
}

/// All backups of the given instances, newest first.
pub fn list(conn: &mut PgConnection, instances: &[ServiceInstanceId]) -> Result<Vec<BackupSummary>> {
    let instances: Vec<i64> = instances.iter().map(|id| id.0).collect();
    let rows = select_summaries!().filter(backups::service_instance_id.eq_any(instances)).load(conn)?;
    rows.into_iter().map(into_domain).collect()
}

/// At most `limit` backups of one instance, newest first; those older than `before`.
pub fn list_before(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    before: Option<BackupId>,
    limit: i64,
) -> Result<Vec<BackupSummary>> {
    let before = before.map_or(i64::MAX, |id| id.0);
    let older = backups::service_instance_id.eq(instance.0).and(backups::id.lt(before));
    let rows = select_summaries!().filter(older).limit(limit).load(conn)?;
    rows.into_iter().map(into_domain).collect()
}

fn into_domain(row: Row) -> Result<BackupSummary> {
    let status = BackupStatus::parse(&row.status)
        .ok_or_else(|| Error::Internal(format!("backup {} has the unknown status {}", row.id, row.status)))?;
    Ok(BackupSummary {
        id: BackupId(row.id),
        instance: ServiceInstanceId(row.service_instance_id),
        backup_id: row.backup_id,
        status,
        size: row.size,
        has_current_own_key: row.is_own && row.is_current,
        msg: row.msg,
        triggered_at: row.triggered_at,
        updated_at: row.updated_at,
    })
}
