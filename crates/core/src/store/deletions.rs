//! The two steps of a deletion in the table of backups: marking and removing, and finding the instances that have
//! something to mark or to remove.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::now;
use diesel::prelude::*;

use super::schema::backups;
use super::statuses::BackupToClean;
use crate::Result;
use crate::domain::identifiers::{BackupId, ServiceInstanceId};

/// Marks a finished backup for removal; false when it is not (or no longer) `done` or `failed`.
pub fn update_marked(conn: &mut PgConnection, id: BackupId) -> Result<bool> {
    let changed = diesel::update(backups::table.find(id.0))
        .filter(backups::status.eq_any(["done", "failed"]))
        .set((backups::status.eq("deleted"), backups::marked_deleted_at.eq(now)))
        .execute(conn)?;
    Ok(changed == 1)
}

/// A marked backup is to be removed at once, and can no longer be undeleted; false when it is not marked (any more).
pub fn update_remove_at_once(conn: &mut PgConnection, id: BackupId) -> Result<bool> {
    let changed = diesel::update(backups::table.find(id.0))
        .filter(backups::status.eq("deleted"))
        .set((backups::remove_at_once.eq(true), backups::updated_at.eq(now)))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Takes the mark back.
pub fn update_undeleted(conn: &mut PgConnection, id: BackupId) -> Result<()> {
    diesel::update(backups::table.find(id.0))
        .set((
            backups::status.eq("done"),
            backups::marked_deleted_at.eq(None::<DateTime<Utc>>),
            backups::remove_at_once.eq(false),
            backups::removal_error.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Records why the objects could not be removed.
pub fn update_removal_error(conn: &mut PgConnection, id: BackupId, error: &str) -> Result<()> {
    diesel::update(backups::table.find(id.0))
        .set((backups::removal_error.eq(error), backups::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// The partial objects of a failed backup are gone.
pub fn update_remains_gone(conn: &mut PgConnection, id: BackupId) -> Result<()> {
    diesel::update(backups::table.find(id.0))
        .set((
            backups::has_remains.eq(false),
            backups::removal_error.eq(None::<String>),
            backups::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Removes the row of a marked backup whose objects the store has confirmed as gone; false when there is none (any more).
pub fn delete(conn: &mut PgConnection, id: BackupId) -> Result<bool> {
    diesel::update(backups::table.find(id.0)).set(backups::objects_gone_at.eq(now)).execute(conn)?;
    let deleted = diesel::delete(backups::table.find(id.0)).execute(conn)?;
    Ok(deleted == 1)
}

/// Instances that have something to mark (finished backups older than `days`, or a deleted instance's), after `after`.
pub fn list_instances_to_mark(
    conn: &mut PgConnection,
    after: ServiceInstanceId,
    limit: i64,
    default_days: i32,
) -> Result<Vec<ServiceInstanceId>> {
    use diesel::sql_types::{BigInt, Integer};
    let rows: Vec<IdRow> = diesel::sql_query(
        "SELECT i.id FROM service_instances i
         WHERE i.id > $1 AND EXISTS (
             SELECT FROM backups b WHERE b.service_instance_id = i.id AND b.status IN ('done', 'failed')
             AND (i.deleted_at IS NOT NULL
                  OR b.triggered_at < now() - make_interval(days => coalesce(i.retention_days, $3))))
         ORDER BY i.id LIMIT $2",
    )
    .bind::<BigInt, _>(after.0)
    .bind::<BigInt, _>(limit)
    .bind::<Integer, _>(default_days)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| ServiceInstanceId(row.id)).collect())
}

/// Instances that have marked backups or remains of failed ones, after `after`.
pub fn list_instances_to_clean(
    conn: &mut PgConnection,
    after: ServiceInstanceId,
    limit: i64,
) -> Result<Vec<ServiceInstanceId>> {
    let ids: Vec<i64> = backups::table
        .filter(backups::service_instance_id.gt(after.0))
        .filter(BackupToClean)
        .select(backups::service_instance_id)
        .distinct()
        .order(backups::service_instance_id)
        .limit(limit)
        .load(conn)?;
    Ok(ids.into_iter().map(ServiceInstanceId).collect())
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
}
