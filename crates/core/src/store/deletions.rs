//! Deletions in the table of backups: what the gate has permitted, undeleting, and finding the instances that have
//! something to mark or to remove. Every write that deletes demands the gate's [`Permit`].

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::now;
use diesel::prelude::*;

use super::schema::backups;
use super::statuses::BackupToClean;
use crate::Result;
use crate::domain::deletion::{Permit, Step};
use crate::domain::identifiers::{BackupId, ServiceInstanceId};

/// The first write of what the gate has permitted: marks the backup, or begins its removal, which from then on cannot
/// be taken back. Nothing is written before a clean-up. False when the backup has moved on meanwhile.
pub fn begin(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    match permit.step() {
        Step::Mark => update_marked(conn, permit),
        Step::Remove => {
            update_marked(conn, permit)?;
            update_removal_reason(conn, permit)
        }
        Step::CleanUp => Ok(true),
    }
}

/// The last write, after the store has confirmed that the objects are gone: removes the row, or records that a failed
/// backup has nothing left. False when there is no such row (any more). A mark has nothing to finish.
pub fn finish(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    match permit.step() {
        Step::Mark => Ok(false),
        Step::Remove => delete(conn, permit),
        Step::CleanUp => update_remains_gone(conn, permit),
    }
}

fn update_marked(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    let changed = diesel::update(backups::table.find(permit.backup().0))
        .filter(backups::status.eq_any(["done", "failed"]))
        .set((backups::status.eq("deleted"), backups::marked_deleted_at.eq(now)))
        .execute(conn)?;
    Ok(changed == 1)
}

/// A removal that had begun before is permitted for the reason that stands there already.
fn update_removal_reason(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    let reason = permit.reason().to_string();
    let changed = diesel::update(backups::table.find(permit.backup().0))
        .filter(backups::status.eq("deleted"))
        .set((backups::removal_reason.eq(reason), backups::updated_at.eq(now)))
        .execute(conn)?;
    Ok(changed == 1)
}

fn update_remains_gone(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    let changed = diesel::update(backups::table.find(permit.backup().0))
        .filter(backups::has_remains)
        .set((
            backups::has_remains.eq(false),
            backups::removal_error.eq(None::<String>),
            backups::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

fn delete(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    let row = backups::table.find(permit.backup().0);
    diesel::update(row).set(backups::objects_gone_at.eq(now)).execute(conn)?;
    Ok(diesel::delete(row).execute(conn)? == 1)
}

/// Takes the mark back.
pub fn update_undeleted(conn: &mut PgConnection, id: BackupId) -> Result<()> {
    diesel::update(backups::table.find(id.0))
        .set((
            backups::status.eq("done"),
            backups::marked_deleted_at.eq(None::<DateTime<Utc>>),
            backups::removal_reason.eq(None::<String>),
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
                  OR b.triggered_at < now() - coalesce(i.retention_days, $3) * interval '24 hours'))
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
