//! The rehearsals, and what they say of backups. Dispatching and watching are in `operations.rs`.

use backup_protocol::{CheckOutcome, RehearsalReport};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use serde_json::Value;

use super::schema::{backups, rehearsals, verifications};
use super::statuses::{UnfinishedRehearsal, VerificationFailed};
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::{BackupId, RehearsalId, ServiceInstanceId};
use crate::domain::rehearsal::{Check, Rehearsal, RehearsalStatus, Verdict};
use crate::domain::verification::Candidate;
use crate::{Error, Result};

#[derive(Queryable, Selectable)]
#[diesel(table_name = rehearsals, check_for_backend(diesel::pg::Pg))]
struct RehearsalRow {
    id: i64,
    service_instance_id: i64,
    backup_row_id: i64,
    rehearsal_id: String,
    is_scheduled: bool,
    status: String,
    bytes_processed: i64,
    total_bytes_estimate: Option<i64>,
    reason_code: Option<String>,
    msg: Option<String>,
    duration_ms: Option<i64>,
    restore_ms: Option<i64>,
    checks: Value,
    triggered_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

fn into_domain(row: RehearsalRow) -> Result<Rehearsal> {
    let status = RehearsalStatus::parse(&row.status).ok_or_else(|| {
        Error::Internal(format!("rehearsal {} has the unknown status {}", row.id, row.status))
    })?;
    Ok(Rehearsal {
        id: RehearsalId(row.id),
        instance: ServiceInstanceId(row.service_instance_id),
        backup: BackupId(row.backup_row_id),
        rehearsal_id: row.rehearsal_id,
        is_scheduled: row.is_scheduled,
        status,
        bytes_processed: row.bytes_processed,
        total_bytes_estimate: row.total_bytes_estimate,
        reason_code: row.reason_code,
        msg: row.msg,
        duration_ms: row.duration_ms,
        restore_ms: row.restore_ms,
        checks: serde_json::from_value(row.checks).unwrap_or_default(),
        triggered_at: row.triggered_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
    })
}

/// Inserts a queued rehearsal; the database refuses it unless the backup is `done`.
pub fn insert(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    backup: BackupId,
    rehearsal_id: &str,
    is_scheduled: bool,
) -> Result<RehearsalId> {
    let id = diesel::insert_into(rehearsals::table)
        .values((
            rehearsals::service_instance_id.eq(instance.0),
            rehearsals::backup_row_id.eq(backup.0),
            rehearsals::rehearsal_id.eq(rehearsal_id),
            rehearsals::is_scheduled.eq(is_scheduled),
        ))
        .returning(rehearsals::id)
        .get_result(conn)?;
    Ok(RehearsalId(id))
}

/// The rehearsal of the backup that is queued or running.
pub fn find_unfinished(conn: &mut PgConnection, backup: BackupId) -> Result<Option<RehearsalId>> {
    Ok(rehearsals::table
        .filter(rehearsals::backup_row_id.eq(backup.0).and(UnfinishedRehearsal))
        .select(rehearsals::id)
        .first(conn)
        .optional()?
        .map(RehearsalId))
}

/// One rehearsal of the instance.
pub fn find(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    id: RehearsalId,
) -> Result<Option<Rehearsal>> {
    rehearsals::table
        .filter(rehearsals::service_instance_id.eq(instance.0).and(rehearsals::id.eq(id.0)))
        .select(RehearsalRow::as_select())
        .first(conn)
        .optional()?
        .map(into_domain)
        .transpose()
}

/// One rehearsal by its number alone.
pub fn get(conn: &mut PgConnection, id: RehearsalId) -> Result<Rehearsal> {
    rehearsals::table
        .find(id.0)
        .select(RehearsalRow::as_select())
        .first(conn)
        .optional()?
        .map(into_domain)
        .transpose()?
        .ok_or(Error::RehearsalNotFound(id))
}

/// At most `limit` rehearsals of one instance's backups, newest first; those older than `before`.
pub fn list_before(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    before: Option<RehearsalId>,
    limit: i64,
) -> Result<Vec<Rehearsal>> {
    let before = before.map_or(i64::MAX, |id| id.0);
    rehearsals::table
        .filter(rehearsals::service_instance_id.eq(instance.0).and(rehearsals::id.lt(before)))
        .order(rehearsals::id.desc())
        .limit(limit)
        .select(RehearsalRow::as_select())
        .load(conn)?
        .into_iter()
        .map(into_domain)
        .collect()
}

/// Writes down what the agent found.
pub fn update_report(conn: &mut PgConnection, id: RehearsalId, report: &RehearsalReport) -> Result<()> {
    let word = |outcome: CheckOutcome| match outcome {
        CheckOutcome::Passed => "passed",
        CheckOutcome::Failed => "failed",
        CheckOutcome::Skipped => "skipped",
    };
    let checks = report.checks.iter().map(|check| Check {
        name: check.name.clone(),
        outcome: word(check.outcome).to_owned(),
        detail: check.detail.clone(),
    });
    let checks = serde_json::to_value(checks.collect::<Vec<_>>());
    let checks = checks.map_err(|error| Error::Internal(error.to_string()))?;
    let milliseconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    diesel::update(rehearsals::table.find(id.0))
        .set((
            rehearsals::duration_ms.eq(milliseconds(report.duration_ms)),
            rehearsals::restore_ms.eq(milliseconds(report.restore_ms)),
            rehearsals::checks.eq(checks),
        ))
        .execute(conn)?;
    Ok(())
}

/// `running` → `done`.
pub fn update_done(conn: &mut PgConnection, id: RehearsalId, bytes_processed: i64) -> Result<()> {
    diesel::update(rehearsals::table.find(id.0))
        .set((
            rehearsals::status.eq("done"),
            rehearsals::bytes_processed.eq(bytes_processed),
            rehearsals::msg.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Writes down beside the backup what the rehearsal says of it; its status stays.
pub fn update_verdict(conn: &mut PgConnection, id: RehearsalId, verdict: Verdict) -> Result<()> {
    diesel::sql_query(
        "INSERT INTO verifications AS v (backup_row_id, verdict, last_verified_at, restore_ms)
         SELECT b.id, $2, CASE WHEN $2 = 'passed' THEN now() END, CASE WHEN $2 = 'passed' THEN r.restore_ms END
         FROM rehearsals r JOIN backups b ON b.id = r.backup_row_id WHERE r.id = $1
         ON CONFLICT (backup_row_id) DO UPDATE SET verdict = excluded.verdict,
             last_verified_at = coalesce(excluded.last_verified_at, v.last_verified_at),
             restore_ms = coalesce(excluded.restore_ms, v.restore_ms)",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<Text, _>(verdict.as_str())
    .execute(conn)?;
    Ok(())
}

/// Good backups of which a rehearsal has said that they cannot be relied upon.
pub fn count_not_restorable(conn: &mut PgConnection) -> Result<i64> {
    let failed = verifications::table
        .inner_join(backups::table.on(backups::id.eq(verifications::backup_row_id)))
        .filter(VerificationFailed)
        .filter(backups::status.eq("done"));
    Ok(failed.count().get_result(conn)?)
}

/// The `limit` instances whose backups have waited longest for a rehearsal, with those backups. Left out are instances that
/// are gone or have no agent, and those with a rehearsal on its way.
pub fn list_candidates(conn: &mut PgConnection, limit: i64) -> Result<Vec<Candidate>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        last_tried_at: Option<DateTime<Utc>>,
    }
    #[derive(QueryableByName)]
    struct Owned {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = BigInt)]
        service_instance_id: i64,
        #[diesel(sql_type = Text)]
        status: String,
    }
    let found: Vec<Found> = diesel::sql_query(
        "SELECT i.id, (SELECT r.triggered_at FROM rehearsals r WHERE r.service_instance_id = i.id ORDER BY r.id DESC LIMIT 1) AS last_tried_at
         FROM service_instances i
         WHERE i.deleted_at IS NULL AND i.agent_url IS NOT NULL
             AND EXISTS (SELECT FROM backups b WHERE b.service_instance_id = i.id AND b.status = 'done' OFFSET 0)
             AND NOT EXISTS (SELECT FROM rehearsals r WHERE r.service_instance_id = i.id AND r.status IN ('queued', 'running') OFFSET 0)
         ORDER BY last_tried_at NULLS FIRST, i.id LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    let ids: Vec<i64> = found.iter().map(|row| row.id).collect();
    let owned: Vec<Owned> = diesel::sql_query(
        "SELECT id, service_instance_id, status FROM backups WHERE service_instance_id = ANY ($1) AND status = 'done'",
    )
    .bind::<Array<BigInt>, _>(&ids)
    .load(conn)?;
    let backups_of = |instance: i64| {
        let of_it = owned.iter().filter(move |row| row.service_instance_id == instance);
        of_it.filter_map(|row| Some((BackupId(row.id), BackupStatus::parse(&row.status)?))).collect()
    };
    let candidates = found.into_iter().map(|row| Candidate {
        instance: ServiceInstanceId(row.id),
        last_tried_at: row.last_tried_at,
        backups: backups_of(row.id),
    });
    Ok(candidates.collect())
}
