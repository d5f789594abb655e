//! What the database knows of an instance, as far as a reconciliation compares it.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};

use crate::Result;
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::operation::OperationKind;
use crate::domain::reconciliation::{BackupRow, OperationRow, Place};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    backup_id: String,
    #[diesel(sql_type = Text)]
    store: String,
    #[diesel(sql_type = Text)]
    object_prefix: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Bool)]
    has_reason: bool,
    #[diesel(sql_type = Bool)]
    is_going: bool,
    #[diesel(sql_type = Bool)]
    has_remains: bool,
    #[diesel(sql_type = BigInt)]
    size: i64,
    #[diesel(sql_type = Nullable<Text>)]
    checksum: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    removal_error: Option<String>,
}

const ROWS: &str = "
    SELECT id, backup_id, store, object_prefix, status, reason_code IS NOT NULL AS has_reason, removal_reason IS NOT NULL AS is_going, has_remains,
           size, checksum, coalesce(finished_at, started_at, triggered_at) AS since, removal_error
    FROM backups";

fn into_domain(row: Row) -> Option<BackupRow> {
    let status = BackupStatus::parse(&row.status)?;
    Some(BackupRow {
        id: BackupId(row.id),
        place: Place { store: row.store, object_prefix: row.object_prefix, backup_id: row.backup_id },
        status,
        was_done: status.was_done(row.has_reason),
        is_going: row.is_going && status == BackupStatus::Deleted,
        has_remains: row.has_remains,
        size: u64::try_from(row.size).unwrap_or_default(),
        checksum: row.checksum,
        since: row.since,
        removal_error: row.removal_error,
    })
}

/// All backups of an instance.
pub fn list_rows(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Vec<BackupRow>> {
    let rows: Vec<Row> = diesel::sql_query(format!("{ROWS} WHERE service_instance_id = $1"))
        .bind::<BigInt, _>(instance.0)
        .load(conn)?;
    Ok(rows.into_iter().filter_map(into_domain).collect())
}

/// The first `done` backup behind `after`, of one instance or of all, with its instance.
pub fn find_next_done(
    conn: &mut PgConnection,
    after: BackupId,
    guid: Option<&ServiceInstanceGuid>,
) -> Result<Option<BackupRow>> {
    let next = format!("{ROWS} WHERE status = 'done' AND id > $1");
    let row: Option<Row> = match guid {
        None => diesel::sql_query(format!("{next} ORDER BY id LIMIT 1"))
            .bind::<BigInt, _>(after.0)
            .get_result(conn),
        // Ordered by both columns of the index of the instance's: by the number alone, everybody's would be read.
        Some(guid) => diesel::sql_query(format!(
            "{next} AND service_instance_id = (SELECT i.id FROM service_instances i WHERE i.guid = $2)
             ORDER BY service_instance_id DESC, id LIMIT 1"
        ))
        .bind::<BigInt, _>(after.0)
        .bind::<Text, _>(guid.as_str())
        .get_result(conn),
    }
    .optional()?;
    Ok(row.and_then(into_domain))
}

/// Whether a backup is still `done`.
pub fn is_done(conn: &mut PgConnection, id: BackupId) -> Result<bool> {
    let changed = diesel::sql_query("SELECT FROM backups WHERE id = $1 AND status = 'done'")
        .bind::<BigInt, _>(id.0)
        .execute(conn)?;
    Ok(changed == 1)
}

/// Whether any row has this name towards agents and in stores.
pub fn is_known(conn: &mut PgConnection, backup_id: &str) -> Result<bool> {
    let found = diesel::sql_query("SELECT FROM backups WHERE reverse(backup_id) = reverse($1)")
        .bind::<Text, _>(backup_id)
        .execute(conn)?;
    Ok(found > 0)
}

/// A failed backup's objects are given to the deleter; false when it is not failed any more.
pub fn update_has_remains(conn: &mut PgConnection, id: BackupId) -> Result<bool> {
    let changed = diesel::sql_query(
        "UPDATE backups SET has_remains = true, updated_at = now() WHERE id = $1 AND status = 'failed'",
    )
    .bind::<BigInt, _>(id.0)
    .execute(conn)?;
    Ok(changed == 1)
}

/// Where an instance's backups are, by store and prefix.
pub fn list_places(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Vec<(String, String)>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        store: String,
        #[diesel(sql_type = Text)]
        object_prefix: String,
    }
    let sql = "SELECT DISTINCT store, object_prefix FROM backups WHERE service_instance_id = $1";
    let found: Vec<Found> = diesel::sql_query(sql).bind::<BigInt, _>(instance.0).load(conn)?;
    Ok(found.into_iter().map(|row| (row.store, row.object_prefix)).collect())
}

/// Those of the folders' names that are some instance's.
pub fn list_known_folders(conn: &mut PgConnection, backup_guids: &[String]) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        backup_guid: String,
    }
    let sql = "SELECT backup_guid FROM service_instances WHERE backup_guid = ANY ($1)";
    let found: Vec<Found> = diesel::sql_query(sql).bind::<Array<Text>, _>(backup_guids).load(conn)?;
    Ok(found.into_iter().map(|row| row.backup_guid).collect())
}

/// The unfinished operations of an instance, and those of these names, of whatever instance.
pub fn list_operations(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    backups: &[&str],
    restores: &[&str],
) -> Result<Vec<OperationRow>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        is_backup: bool,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Bool)]
        is_own: bool,
        #[diesel(sql_type = Text)]
        status: String,
        #[diesel(sql_type = BigInt)]
        epoch: i64,
        #[diesel(sql_type = Timestamptz)]
        since: DateTime<Utc>,
    }
    let columns = "service_instance_id = $1 AS is_own, status, dispatch_epoch AS epoch,
                   coalesce(finished_at, started_at, triggered_at) AS since";
    let unfinished = "service_instance_id = $1 AND status IN ('queued', 'running')";
    let found: Vec<Found> = diesel::sql_query(format!(
        "SELECT true AS is_backup, backup_id AS name, {columns} FROM backups WHERE {unfinished}
         UNION SELECT true, backup_id, {columns} FROM unnest($2) AS named (name) JOIN backups ON reverse(backup_id) = reverse(name)
         UNION SELECT false, restore_id, {columns} FROM restores WHERE {unfinished}
         UNION SELECT false, restore_id, {columns} FROM restores WHERE restore_id = ANY ($3)"
    ))
    .bind::<BigInt, _>(instance.0)
    .bind::<Array<Text>, _>(backups)
    .bind::<Array<Text>, _>(restores)
    .load(conn)?;
    let into_domain = |row: Found| OperationRow {
        kind: if row.is_backup { OperationKind::Backup } else { OperationKind::Restore },
        name: row.name,
        is_own: row.is_own,
        status: row.status,
        epoch: row.epoch,
        since: row.since,
    };
    Ok(found.into_iter().map(into_domain).collect())
}
