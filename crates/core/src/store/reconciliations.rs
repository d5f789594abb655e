//! Reconciliations: what was asked for, how far they are, what they have found. The last ones are kept.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz};
use serde_json::Value;

use crate::domain::identifiers::{ReconciliationId, ServiceInstanceGuid};
use crate::domain::reconciliation::{Class, Phase, Reconciliation, Remark, Scope};
use crate::{Error, Result};

/// So many remarks of one reconciliation are kept; more are only counted.
const KEPT_REMARKS: i64 = 50_000;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    requested_by: String,
    #[diesel(sql_type = Bool)]
    is_repair: bool,
    #[diesel(sql_type = Bool)]
    is_deep: bool,
    #[diesel(sql_type = Nullable<Text>)]
    instance_guid: Option<String>,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Text)]
    phase: String,
    #[diesel(sql_type = Text)]
    position: String,
    #[diesel(sql_type = BigInt)]
    instances_total: i64,
    #[diesel(sql_type = BigInt)]
    instances_done: i64,
    #[diesel(sql_type = Jsonb)]
    counts: Value,
    #[diesel(sql_type = BigInt)]
    not_compared: i64,
    #[diesel(sql_type = BigInt)]
    notes: i64,
    #[diesel(sql_type = Nullable<Text>)]
    msg: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    requested_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    finished_at: Option<DateTime<Utc>>,
}

fn into_domain(row: Row) -> Result<Reconciliation> {
    let phase = Phase::parse(&row.phase)
        .ok_or_else(|| Error::Internal(format!("reconciliation {} has an unknown phase", row.id)))?;
    Ok(Reconciliation {
        id: ReconciliationId(row.id),
        requested_by: row.requested_by,
        scope: Scope {
            is_repair: row.is_repair,
            is_deep: row.is_deep,
            instance: row.instance_guid.as_deref().and_then(ServiceInstanceGuid::parse),
        },
        status: row.status,
        phase,
        position: row.position,
        instances_total: row.instances_total,
        instances_done: row.instances_done,
        counts: serde_json::from_value(row.counts).unwrap_or_default(),
        not_compared: row.not_compared,
        notes: row.notes,
        msg: row.msg,
        requested_at: row.requested_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
    })
}

/// Records what is asked for; `job` is the scheduled job that asks, whose reconciliation is found again by a later claim.
pub fn insert(
    conn: &mut PgConnection,
    requested_by: &str,
    scope: &Scope,
    job: Option<i64>,
) -> Result<ReconciliationId> {
    #[derive(QueryableByName)]
    struct Inserted {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let inserted: Inserted = diesel::sql_query(
        "INSERT INTO reconciliations (job_id, requested_by, is_repair, is_deep, instance_guid) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (job_id) DO UPDATE SET job_id = excluded.job_id RETURNING id",
    )
    .bind::<Nullable<BigInt>, _>(job)
    .bind::<Text, _>(requested_by)
    .bind::<Bool, _>(scope.is_repair)
    .bind::<Bool, _>(scope.is_deep)
    .bind::<Nullable<Text>, _>(scope.instance.as_ref().map(ServiceInstanceGuid::as_str))
    .get_result(conn)?;
    Ok(ReconciliationId(inserted.id))
}

/// An unfinished one that somebody has asked for with this scope.
pub fn find_unfinished(conn: &mut PgConnection, scope: &Scope) -> Result<Option<ReconciliationId>> {
    let row: Option<Row> = diesel::sql_query(
        "SELECT * FROM reconciliations WHERE status IN ('queued', 'running') AND job_id IS NULL
             AND (is_repair, is_deep) = ($1, $2) AND instance_guid IS NOT DISTINCT FROM $3 ORDER BY id DESC LIMIT 1",
    )
    .bind::<Bool, _>(scope.is_repair)
    .bind::<Bool, _>(scope.is_deep)
    .bind::<Nullable<Text>, _>(scope.instance.as_ref().map(ServiceInstanceGuid::as_str))
    .get_result(conn)
    .optional()?;
    Ok(row.map(|row| ReconciliationId(row.id)))
}

/// Unfinished ones for which the queue holds no job: neither their own, nor that of the schedule that made them.
pub fn list_without_job(conn: &mut PgConnection, limit: i64) -> Result<Vec<ReconciliationId>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let found: Vec<Found> = diesel::sql_query(
        "SELECT id FROM reconciliations AS r WHERE status IN ('queued', 'running')
             AND NOT EXISTS (SELECT FROM jobs WHERE unique_key = 'reconcile-' || r.id)
             AND NOT EXISTS (SELECT FROM jobs WHERE id = r.job_id)
         ORDER BY id LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(found.into_iter().map(|row| ReconciliationId(row.id)).collect())
}

/// The one of this number.
pub fn get(conn: &mut PgConnection, id: ReconciliationId) -> Result<Reconciliation> {
    let row = diesel::sql_query("SELECT * FROM reconciliations WHERE id = $1")
        .bind::<BigInt, _>(id.0)
        .get_result(conn)
        .optional()?;
    into_domain(row.ok_or(Error::ReconciliationNotFound(id))?)
}

/// The one that was asked for last.
pub fn find_latest(conn: &mut PgConnection) -> Result<Option<Reconciliation>> {
    let sql = "SELECT * FROM reconciliations ORDER BY id DESC LIMIT 1";
    diesel::sql_query(sql).get_result(conn).optional()?.map(into_domain).transpose()
}

/// The last complete one of all instances.
pub fn find_last_complete(conn: &mut PgConnection) -> Result<Option<Reconciliation>> {
    let sql = "SELECT * FROM reconciliations WHERE status = 'done' AND instance_guid IS NULL ORDER BY id DESC LIMIT 1";
    diesel::sql_query(sql).get_result(conn).optional()?.map(into_domain).transpose()
}

/// It begins, with so many instances to compare.
pub fn update_running(conn: &mut PgConnection, id: ReconciliationId) -> Result<()> {
    diesel::sql_query(
        "UPDATE reconciliations SET status = 'running', started_at = now(),
                instances_total = CASE WHEN instance_guid IS NULL THEN (SELECT count(*) FROM service_instances) ELSE 1 END
         WHERE id = $1 AND status = 'queued'",
    )
    .bind::<BigInt, _>(id.0)
    .execute(conn)?;
    Ok(())
}

/// It has ended: well, or with an error.
pub fn update_ended(conn: &mut PgConnection, id: ReconciliationId, error: Option<&str>) -> Result<()> {
    diesel::sql_query(
        "UPDATE reconciliations SET status = CASE WHEN $2 IS NULL THEN 'done' ELSE 'failed' END, msg = $2, finished_at = now()
         WHERE id = $1 AND finished_at IS NULL",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<Nullable<Text>, _>(error)
    .execute(conn)?;
    Ok(())
}

/// What holds it up at the moment.
pub fn update_msg(conn: &mut PgConnection, id: ReconciliationId, msg: &str) -> Result<()> {
    diesel::sql_query("UPDATE reconciliations SET msg = $2 WHERE id = $1")
        .bind::<BigInt, _>(id.0)
        .bind::<Text, _>(msg)
        .execute(conn)?;
    Ok(())
}

/// A step forward.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it works on from now on.
    pub phase: Phase,
    /// Behind what it goes on.
    pub position: String,
    /// Instances that were compared in the step.
    pub instances: i64,
    /// What was found in it.
    pub remarks: Vec<Remark>,
}

/// Records a step. Something that was said already, because two instances share an agent, is not said twice.
pub fn update_step(conn: &mut PgConnection, run: &Reconciliation, step: &Step) -> Result<()> {
    let current = get(conn, run.id)?;
    let kept: i64 = current.counts.values().sum::<i64>() + current.not_compared + current.notes;
    let new =
        if kept < KEPT_REMARKS { insert_remarks(conn, run.id, &step.remarks)? } else { tally(&step.remarks) };
    let (mut counts, mut not_compared, mut notes) = (current.counts, current.not_compared, current.notes);
    for ((class, kind), count) in new {
        let place = match class.as_str() {
            "difference" => counts.entry(kind).or_default(),
            "not_compared" => &mut not_compared,
            _ => &mut notes,
        };
        *place = place.saturating_add(count);
    }
    diesel::sql_query(
        "UPDATE reconciliations SET phase = $2, position = $3, instances_done = instances_done + $4, counts = $5,
                not_compared = $6, notes = $7, msg = NULL
         WHERE id = $1",
    )
    .bind::<BigInt, _>(run.id.0)
    .bind::<Text, _>(step.phase.as_str())
    .bind::<Text, _>(&step.position)
    .bind::<BigInt, _>(step.instances)
    .bind::<Jsonb, _>(serde_json::json!(counts))
    .bind::<BigInt, _>(not_compared)
    .bind::<BigInt, _>(notes)
    .execute(conn)?;
    Ok(())
}

type Tally = BTreeMap<(String, String), i64>;

fn tally(remarks: &[Remark]) -> Tally {
    let mut tally = Tally::new();
    for remark in remarks {
        let count = tally.entry((remark.class.as_str().to_owned(), remark.kind.clone())).or_default();
        *count = count.saturating_add(1);
    }
    tally
}

/// Returns how many of each sort were new.
fn insert_remarks(conn: &mut PgConnection, id: ReconciliationId, remarks: &[Remark]) -> Result<Tally> {
    #[derive(QueryableByName)]
    struct Inserted {
        #[diesel(sql_type = Text)]
        class: String,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    fn texts<'a>(remarks: &'a [Remark], of: fn(&'a Remark) -> Option<&'a str>) -> Vec<Option<&'a str>> {
        remarks.iter().map(of).collect()
    }
    let inserted: Vec<Inserted> = diesel::sql_query(
        "WITH inserted AS (
             INSERT INTO reconciliation_findings
                 (reconciliation_id, class, kind, subject, instance_guid, details, repair, proposal, outcome)
             SELECT $1, new.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS new
             ON CONFLICT (reconciliation_id, kind, subject) DO NOTHING RETURNING class, kind)
         SELECT class, kind, count(*) AS count FROM inserted GROUP BY 1, 2",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| Some(remark.class.as_str())))
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| Some(&remark.kind)))
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| Some(&remark.subject)))
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| remark.instance.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| Some(&remark.details)))
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| remark.repair.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| remark.proposal.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(texts(remarks, |remark| remark.outcome.as_deref()))
    .load(conn)?;
    Ok(inserted.into_iter().map(|row| ((row.class, row.kind), row.count)).collect())
}

/// At most `limit` remarks behind the one of number `after`, with their numbers.
pub fn list_remarks(
    conn: &mut PgConnection,
    id: ReconciliationId,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Remark)>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Text)]
        class: String,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        subject: String,
        #[diesel(sql_type = Nullable<Text>)]
        instance_guid: Option<String>,
        #[diesel(sql_type = Text)]
        details: String,
        #[diesel(sql_type = Nullable<Text>)]
        repair: Option<String>,
        #[diesel(sql_type = Nullable<Text>)]
        proposal: Option<String>,
        #[diesel(sql_type = Nullable<Text>)]
        outcome: Option<String>,
    }
    let found: Vec<Found> = diesel::sql_query(
        "SELECT * FROM reconciliation_findings WHERE reconciliation_id = $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    let into_domain = |row: Found| {
        let class = Class::ALL.into_iter().find(|class| class.as_str() == row.class).unwrap_or(Class::Note);
        let remark = Remark {
            class,
            kind: row.kind,
            subject: row.subject,
            instance: row.instance_guid,
            details: row.details,
            repair: row.repair,
            proposal: row.proposal,
            outcome: row.outcome,
        };
        (row.id, remark)
    };
    Ok(found.into_iter().map(into_domain).collect())
}

/// Forgets ended ones but the last `keep`; the last complete one of all instances stays, for the metrics.
pub fn delete_old(conn: &mut PgConnection, keep: i64) -> Result<()> {
    diesel::sql_query(
        "DELETE FROM reconciliations WHERE finished_at IS NOT NULL
             AND id < (SELECT min(id) FROM (SELECT id FROM reconciliations ORDER BY id DESC LIMIT $1) AS kept)
             AND id IS DISTINCT FROM (SELECT max(id) FROM reconciliations WHERE status = 'done' AND instance_guid IS NULL)",
    )
    .bind::<BigInt, _>(keep)
    .execute(conn)?;
    Ok(())
}
