//! Rebuilds of the catalogue, their progress and what they found.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::now;
use diesel::prelude::*;

use super::schema::{catalogue_findings, catalogue_rebuilds};
use crate::domain::catalogue::{Finding, FindingOutcome, Rebuild, RebuildStatus};
use crate::domain::identifiers::RebuildId;
use crate::{Error, Result};

/// Ended rebuilds that are remembered with their findings.
const REMEMBERED: i64 = 20;

#[derive(Queryable, Selectable)]
#[diesel(table_name = catalogue_rebuilds, check_for_backend(diesel::pg::Pg))]
struct RebuildRow {
    id: i64,
    store: Option<String>,
    is_dry_run: bool,
    status: String,
    requested_by: String,
    requested_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    position_store: Option<String>,
    position_folder: Option<String>,
    folders_total: i64,
    folders_done: i64,
    known: i64,
    msg: Option<String>,
}

fn into_domain(row: RebuildRow) -> Result<Rebuild> {
    let status = RebuildStatus::parse(&row.status).ok_or_else(|| {
        Error::Internal(format!("rebuild {} has the unknown status {}", row.id, row.status))
    })?;
    Ok(Rebuild {
        id: RebuildId(row.id),
        store: row.store,
        is_dry_run: row.is_dry_run,
        status,
        requested_by: row.requested_by,
        requested_at: row.requested_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        position: row.position_store.zip(row.position_folder),
        folders_total: row.folders_total,
        folders_done: row.folders_done,
        known: row.known,
        msg: row.msg,
    })
}

/// Records the wish, and forgets the oldest rebuilds.
pub fn insert(
    conn: &mut PgConnection,
    store: Option<&str>,
    is_dry_run: bool,
    requested_by: &str,
) -> Result<RebuildId> {
    use catalogue_rebuilds as r;
    let oldest: Option<i64> = r::table
        .filter(r::finished_at.is_not_null())
        .order(r::id.desc())
        .offset(REMEMBERED)
        .select(r::id)
        .first(conn)
        .optional()?;
    if let Some(oldest) = oldest {
        diesel::delete(r::table.filter(r::id.le(oldest).and(r::finished_at.is_not_null()))).execute(conn)?;
    }
    let id = diesel::insert_into(r::table)
        .values((r::store.eq(store), r::is_dry_run.eq(is_dry_run), r::requested_by.eq(requested_by)))
        .returning(r::id)
        .get_result(conn)?;
    Ok(RebuildId(id))
}

/// The rebuild of this number.
pub fn find(conn: &mut PgConnection, id: RebuildId) -> Result<Option<Rebuild>> {
    let row: Option<RebuildRow> =
        catalogue_rebuilds::table.find(id.0).select(RebuildRow::as_select()).first(conn).optional()?;
    row.map(into_domain).transpose()
}

/// `queued` → `running`.
pub fn update_running(conn: &mut PgConnection, id: RebuildId, folders_total: i64) -> Result<()> {
    use catalogue_rebuilds as r;
    diesel::update(r::table.find(id.0))
        .set((r::status.eq("running"), r::started_at.eq(now), r::folders_total.eq(folders_total)))
        .execute(conn)?;
    Ok(())
}

/// One more folder of an instance was looked through; `known` backups in it had a row.
pub fn update_position(
    conn: &mut PgConnection,
    id: RebuildId,
    store: &str,
    folder: &str,
    known: i64,
) -> Result<()> {
    use catalogue_rebuilds as r;
    diesel::update(r::table.find(id.0))
        .set((
            r::position_store.eq(store),
            r::position_folder.eq(folder),
            r::folders_done.eq(r::folders_done + 1),
            // Folders may have come since they were counted.
            r::folders_total.eq(diesel::dsl::case_when(
                r::folders_total.le(r::folders_done),
                r::folders_done + 1,
            )
            .otherwise(r::folders_total)),
            r::known.eq(r::known + known),
            r::msg.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Unfinished ones for which the queue holds no job.
pub fn list_without_job(conn: &mut PgConnection, limit: i64) -> Result<Vec<RebuildId>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        id: i64,
    }
    let found: Vec<Found> = diesel::sql_query(
        "SELECT id FROM catalogue_rebuilds AS r WHERE status IN ('queued', 'running')
             AND NOT EXISTS (SELECT FROM jobs WHERE unique_key = 'rebuild-catalogue-' || r.id)
         ORDER BY id LIMIT $1",
    )
    .bind::<diesel::sql_types::BigInt, _>(limit)
    .load(conn)?;
    Ok(found.into_iter().map(|row| RebuildId(row.id)).collect())
}

/// Why it does not go on at the moment.
pub fn update_msg(conn: &mut PgConnection, id: RebuildId, msg: &str) -> Result<()> {
    diesel::update(catalogue_rebuilds::table.find(id.0))
        .set(catalogue_rebuilds::msg.eq(msg))
        .execute(conn)?;
    Ok(())
}

/// → `done`, or `failed` with the reason.
pub fn update_ended(conn: &mut PgConnection, id: RebuildId, failure: Option<&str>) -> Result<()> {
    use catalogue_rebuilds as r;
    let status = if failure.is_some() { RebuildStatus::Failed } else { RebuildStatus::Done };
    diesel::update(r::table.find(id.0))
        .set((r::status.eq(status.as_str()), r::finished_at.eq(now), r::msg.eq(failure)))
        .execute(conn)?;
    Ok(())
}

/// What is to be said of a folder without a row.
#[derive(Debug, Clone)]
pub struct NewFinding {
    /// What became of it.
    pub outcome: FindingOutcome,
    /// Name of the store.
    pub store: String,
    /// The folder.
    pub path: String,
    /// Its last piece.
    pub backup_id: String,
    /// The instance, if `metadata.json` could be read.
    pub instance: Option<String>,
    /// For a person.
    pub detail: Option<String>,
}

/// Records it; what was found at a folder before an interruption stays.
pub fn insert_finding(conn: &mut PgConnection, id: RebuildId, new: &NewFinding) -> Result<()> {
    use catalogue_findings as f;
    diesel::insert_into(f::table)
        .values((
            f::rebuild_id.eq(id.0),
            f::outcome.eq(new.outcome.as_str()),
            f::store.eq(&new.store),
            f::path.eq(&new.path),
            f::backup_id.eq(&new.backup_id),
            f::service_instance_guid.eq(&new.instance),
            f::detail.eq(&new.detail),
        ))
        .on_conflict((f::rebuild_id, f::store, f::path))
        .do_nothing()
        .execute(conn)?;
    Ok(())
}

/// How many of the backups in these folders of a store this rebuild itself has adopted, before an interruption.
pub fn count_adopted(conn: &mut PgConnection, id: RebuildId, store: &str, paths: &[String]) -> Result<i64> {
    use catalogue_findings as f;
    Ok(f::table
        .filter(f::rebuild_id.eq(id.0).and(f::outcome.eq(FindingOutcome::Adopted.as_str())))
        .filter(f::store.eq(store).and(f::path.eq_any(paths)))
        .count()
        .get_result(conn)?)
}

/// How often each outcome was found.
pub fn count_outcomes(conn: &mut PgConnection, id: RebuildId) -> Result<Vec<(String, i64)>> {
    use catalogue_findings as f;
    Ok(f::table
        .filter(f::rebuild_id.eq(id.0))
        .group_by(f::outcome)
        .order(f::outcome)
        .select((f::outcome, diesel::dsl::count_star()))
        .load(conn)?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = catalogue_findings, check_for_backend(diesel::pg::Pg))]
struct FindingRow {
    id: i64,
    outcome: String,
    store: String,
    path: String,
    backup_id: String,
    service_instance_guid: Option<String>,
    detail: Option<String>,
}

/// At most `limit` findings behind `after`, in the order in which they were found.
pub fn list_findings(conn: &mut PgConnection, id: RebuildId, after: i64, limit: i64) -> Result<Vec<Finding>> {
    use catalogue_findings as f;
    let rows: Vec<FindingRow> = f::table
        .filter(f::rebuild_id.eq(id.0).and(f::id.gt(after)))
        .order(f::id)
        .limit(limit)
        .select(FindingRow::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| Finding {
            id: row.id,
            outcome: row.outcome,
            store: row.store,
            path: row.path,
            backup_id: row.backup_id,
            instance: row.service_instance_guid,
            detail: row.detail,
        })
        .collect())
}
