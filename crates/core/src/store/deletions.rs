//! Deletions in the table of backups: what the gate has permitted, undeleting, and finding the instances that have
//! something to mark or to remove. Every write that deletes demands the gate's [`Permit`].

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::{now, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Integer};

use super::schema::backups;
use crate::Result;
use crate::domain::deletion::{Permit, Step};
use crate::domain::identifiers::{BackupId, ServiceInstanceId};
use crate::manager::Policy;

// What a row must be is asked for in words that fit no partial index. With statistics from before the first was marked, the
// planner takes such an index for empty, and reads all that are marked by now instead of one row by its number.
const IS_FINISHED: &str = "status || '' IN ('done', 'failed')";
const IS_MARKED: &str = "status || '' = 'deleted'";
const HAS_REMAINS: &str = "has_remains::int = 1";

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

/// Marks all of these backups, in one statement; permits for other steps are none of it. Returns those it has marked: the
/// others have moved on meanwhile.
pub fn mark(conn: &mut PgConnection, permits: &[Permit]) -> Result<Vec<BackupId>> {
    let to_mark = permits.iter().filter(|permit| permit.step() == Step::Mark);
    let ids: Vec<i64> = diesel::update(backups::table)
        .filter(backups::id.eq_any(to_mark.map(|permit| permit.backup().0).collect::<Vec<_>>()))
        .filter(sql::<Bool>(IS_FINISHED))
        .set((backups::status.eq("deleted"), backups::marked_deleted_at.eq(now)))
        .returning(backups::id)
        .get_results(conn)?;
    Ok(ids.into_iter().map(BackupId).collect())
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
        .filter(sql::<Bool>(IS_FINISHED))
        .set((backups::status.eq("deleted"), backups::marked_deleted_at.eq(now)))
        .execute(conn)?;
    Ok(changed == 1)
}

/// A removal that had begun before is permitted for the reason that stands there already.
fn update_removal_reason(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    let reason = permit.reason().to_string();
    let changed = diesel::update(backups::table.find(permit.backup().0))
        .filter(sql::<Bool>(IS_MARKED))
        .set((backups::removal_reason.eq(reason), backups::updated_at.eq(now)))
        .execute(conn)?;
    Ok(changed == 1)
}

fn update_remains_gone(conn: &mut PgConnection, permit: &Permit) -> Result<bool> {
    let changed = diesel::update(backups::table.find(permit.backup().0))
        .filter(sql::<Bool>(HAS_REMAINS))
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

/// Instances that may have something to mark, after `after`: the oldest finished backup is older than the retention time, or
/// the instance is deleted. Looks at one entry of an index per instance, however many backups it has. Leaves out only those
/// of which the gate would mark nothing (`whatever_the_gate_permits_is_found_by_the_search_for_it`).
pub fn list_instances_to_mark(
    conn: &mut PgConnection,
    after: ServiceInstanceId,
    limit: i64,
    policy: &Policy,
) -> Result<Vec<ServiceInstanceId>> {
    let rows: Vec<IdRow> = diesel::sql_query(
        "SELECT i.id FROM service_instances i
         WHERE i.id > $1
             AND (SELECT b.triggered_at FROM backups b WHERE b.service_instance_id = i.id AND b.status IN ('done', 'failed')
                  ORDER BY b.triggered_at LIMIT 1)
                 < CASE WHEN i.deleted_at IS NULL THEN now() - coalesce(i.retention_days, $3) * interval '24 hours'
                        ELSE 'infinity' END
         ORDER BY i.id LIMIT $2",
    )
    .bind::<BigInt, _>(after.0)
    .bind::<BigInt, _>(limit)
    .bind::<Integer, _>(policy.retention_days)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| ServiceInstanceId(row.id)).collect())
}

/// Instances that may have something to remove, after `after`: remains of failed backups, removals that were begun, marks
/// whose time is over. Looks only at what is marked or has remains. Leaves out only those of which the gate would remove
/// nothing (`whatever_the_gate_permits_is_found_by_the_search_for_it`).
pub fn list_instances_to_clean(
    conn: &mut PgConnection,
    after: ServiceInstanceId,
    limit: i64,
    policy: &Policy,
) -> Result<Vec<ServiceInstanceId>> {
    // OFFSET 0 keeps the look at the backups one per instance: joined as a whole, all marked ones would be read each time.
    let rows: Vec<IdRow> = diesel::sql_query(
        "SELECT i.id FROM service_instances i
         WHERE i.id > $1
             AND EXISTS (SELECT FROM backups b WHERE b.service_instance_id = i.id AND (b.status = 'deleted' OR b.has_remains)
                 AND (b.has_remains OR b.removal_reason IS NOT NULL
                      OR CASE WHEN i.deleted_at IS NULL THEN b.marked_deleted_at < now() - make_interval(secs => $3)
                              ELSE i.deleted_at < now() - $4 * interval '24 hours' END)
                 OFFSET 0)
         ORDER BY i.id LIMIT $2",
    )
    .bind::<BigInt, _>(after.0)
    .bind::<BigInt, _>(limit)
    .bind::<Double, _>(policy.undo_window.as_secs_f64())
    .bind::<Integer, _>(policy.deleted_retention_days)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| ServiceInstanceId(row.id)).collect())
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}
