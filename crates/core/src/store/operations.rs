//! What dispatching and watching read and write: the columns that backups, restores and rehearsals have in common.
//! The same statements serve all three tables; only the table's name differs.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};

use crate::domain::identifiers::ServiceInstanceId;
use crate::domain::operation::{Failure, Operation, OperationKind};
use crate::{Error, Result};

#[derive(QueryableByName)]
struct OperationRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    service_instance_id: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    dispatch_epoch: i64,
    #[diesel(sql_type = Bool)]
    may_be_at_agent: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    deadline_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cancel_requested_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    triggered_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_scheduled: bool,
    #[diesel(sql_type = Nullable<Text>)]
    msg: Option<String>,
    #[diesel(sql_type = Text)]
    guid: String,
}

fn table(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Backup => "backups",
        OperationKind::Restore => "restores",
        OperationKind::Rehearsal => "rehearsals",
    }
}

fn name_column(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Backup => "backup_id",
        OperationKind::Restore => "restore_id",
        OperationKind::Rehearsal => "rehearsal_id",
    }
}

/// Nobody but a person asks for a restore, so restores have no such column.
fn is_scheduled(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Backup | OperationKind::Rehearsal => "is_scheduled",
        OperationKind::Restore => "false",
    }
}

/// Locks an operation's row until the end of the transaction; none when it was removed.
pub fn lock(conn: &mut PgConnection, kind: OperationKind, id: i64) -> Result<Option<Operation>> {
    let row: Option<OperationRow> = diesel::sql_query(format!(
        "SELECT o.id, o.{name} AS name, service_instance_id, status, dispatch_epoch, may_be_at_agent, deadline_at,
                cancel_requested_at, triggered_at, {is_scheduled} AS is_scheduled, msg, guid
         FROM {table} o JOIN service_instances i ON i.id = o.service_instance_id WHERE o.id = $1 FOR UPDATE OF o",
        name = name_column(kind),
        is_scheduled = is_scheduled(kind),
        table = table(kind),
    ))
    .bind::<BigInt, _>(id)
    .get_result(conn)
    .optional()?;
    Ok(row.map(|row| Operation {
        kind,
        row: row.id,
        name: row.name,
        instance: ServiceInstanceId(row.service_instance_id),
        status: row.status,
        epoch: row.dispatch_epoch,
        may_be_at_agent: row.may_be_at_agent,
        deadline_at: row.deadline_at,
        cancel_requested_at: row.cancel_requested_at,
        triggered_at: row.triggered_at,
        is_scheduled: row.is_scheduled,
        msg: row.msg,
        guid: row.guid,
    }))
}

/// Fixes the next epoch, and at the first dispatch the deadline, before the agent is called; from then on the agent
/// may have the operation. A later deadline than `deadline` was given by a clock that was ahead. Returns both.
pub fn update_dispatch(
    conn: &mut PgConnection,
    kind: OperationKind,
    id: i64,
    deadline: DateTime<Utc>,
) -> Result<(i64, DateTime<Utc>)> {
    #[derive(QueryableByName)]
    struct Dispatch {
        #[diesel(sql_type = BigInt)]
        dispatch_epoch: i64,
        #[diesel(sql_type = Timestamptz)]
        deadline_at: DateTime<Utc>,
    }
    let row: Dispatch = diesel::sql_query(format!(
        "UPDATE {} SET dispatch_epoch = dispatch_epoch + 1, may_be_at_agent = true, deadline_at = least(deadline_at, $2), updated_at = now()
         WHERE id = $1 RETURNING dispatch_epoch, deadline_at",
        table(kind)
    ))
    .bind::<BigInt, _>(id)
    .bind::<Timestamptz, _>(deadline)
    .get_result(conn)?;
    Ok((row.dispatch_epoch, row.deadline_at))
}

/// No connection stood at any dispatch, so the agent has not heard of the operation.
pub fn update_not_at_agent(conn: &mut PgConnection, kind: OperationKind, id: i64) -> Result<()> {
    execute_one(conn, id, &format!("UPDATE {} SET may_be_at_agent = false WHERE id = $1", table(kind)))
}

/// The agent has seen this epoch, which a database that was set back does not know of.
pub fn update_epoch(conn: &mut PgConnection, kind: OperationKind, id: i64, newest: i64) -> Result<()> {
    let statement = format!(
        "UPDATE {} SET dispatch_epoch = greatest(dispatch_epoch, $2), updated_at = now() WHERE id = $1",
        table(kind)
    );
    let changed =
        diesel::sql_query(statement).bind::<BigInt, _>(id).bind::<BigInt, _>(newest).execute(conn)?;
    expect_one(changed, id)
}

/// `queued` → `running`. The database refuses it with [`Error::InstanceBusy`] while another operation of the
/// instance runs.
pub fn update_running(conn: &mut PgConnection, kind: OperationKind, id: i64) -> Result<()> {
    execute_one(conn, id, &format!("UPDATE {} SET status = 'running', msg = NULL WHERE id = $1", table(kind)))
}

/// Records how far the agent has come, and what people should know meanwhile.
pub fn update_progress(
    conn: &mut PgConnection,
    kind: OperationKind,
    id: i64,
    bytes: Option<(i64, Option<i64>)>,
    msg: Option<&str>,
) -> Result<()> {
    let (processed, estimate) = bytes.unzip();
    diesel::sql_query(format!(
        "UPDATE {} SET bytes_processed = coalesce($2, bytes_processed), total_bytes_estimate = coalesce($3, total_bytes_estimate),
                msg = $4, updated_at = now()
         WHERE id = $1 AND (bytes_processed, total_bytes_estimate, msg)
               IS DISTINCT FROM (coalesce($2, bytes_processed), coalesce($3, total_bytes_estimate), $4)",
        table(kind)
    ))
    .bind::<BigInt, _>(id)
    .bind::<Nullable<BigInt>, _>(processed)
    .bind::<Nullable<BigInt>, _>(estimate.flatten())
    .bind::<Nullable<Text>, _>(msg)
    .execute(conn)?;
    Ok(())
}

/// `queued` or `running` → `failed`. `leaves_remains`: a backup's partial objects may be in the store.
pub fn update_failed(
    conn: &mut PgConnection,
    kind: OperationKind,
    id: i64,
    failure: &Failure,
    leaves_remains: bool,
) -> Result<()> {
    // The others write nothing to the store, so they have no such column.
    let remains = match kind {
        OperationKind::Backup if leaves_remains => ", has_remains = true",
        OperationKind::Backup | OperationKind::Restore | OperationKind::Rehearsal => "",
    };
    let changed = diesel::sql_query(format!(
        "UPDATE {} SET status = 'failed', reason_code = $2, msg = $3{remains} WHERE id = $1",
        table(kind)
    ))
    .bind::<BigInt, _>(id)
    .bind::<Text, _>(failure.reason.as_str())
    .bind::<Text, _>(&failure.msg)
    .execute(conn)?;
    expect_one(changed, id)
}

/// Records the times of the operation as they are in `operation`.
pub fn update_times(conn: &mut PgConnection, operation: &Operation) -> Result<()> {
    let statement = format!(
        "UPDATE {} SET deadline_at = $2, cancel_requested_at = $3, updated_at = now() WHERE id = $1",
        table(operation.kind)
    );
    let changed = diesel::sql_query(statement)
        .bind::<BigInt, _>(operation.row)
        .bind::<Nullable<Timestamptz>, _>(operation.deadline_at)
        .bind::<Nullable<Timestamptz>, _>(operation.cancel_requested_at)
        .execute(conn)?;
    expect_one(changed, operation.row)
}

/// Records the wish to cancel; the first wish counts, unless a clock that was ahead gave it a time that has not come.
pub fn update_cancel_requested(conn: &mut PgConnection, kind: OperationKind, id: i64) -> Result<()> {
    execute_one(
        conn,
        id,
        &format!(
            "UPDATE {} SET cancel_requested_at = least(cancel_requested_at, now()), updated_at = now() WHERE id = $1",
            table(kind)
        ),
    )
}

/// Whether another operation of the instance runs, or waits in front of this one. One that the agent may have goes first,
/// then what a person asked for: the schedule's may be due in an hour only, and nobody waits for it. Rehearsals are in
/// nobody's way but each other's, and let everybody else go first.
pub fn is_blocked(conn: &mut PgConnection, operation: &Operation) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Blocked {
        #[diesel(sql_type = Bool)]
        blocked: bool,
    }
    let statement = match operation.kind {
        OperationKind::Backup | OperationKind::Restore => {
            "SELECT EXISTS (SELECT FROM running_operations WHERE service_instance_id = $1)
             OR EXISTS (SELECT FROM backups WHERE service_instance_id = $1 AND status = 'queued'
                        AND (NOT may_be_at_agent, is_scheduled, triggered_at, 'backup', id) < ($5, $6, $2, $3, $4))
             OR EXISTS (SELECT FROM restores WHERE service_instance_id = $1 AND status = 'queued'
                        AND (NOT may_be_at_agent, false, triggered_at, 'restore', id) < ($5, $6, $2, $3, $4)) AS blocked"
        }
        OperationKind::Rehearsal => {
            "SELECT EXISTS (SELECT FROM running_operations WHERE service_instance_id = $1)
             OR EXISTS (SELECT FROM backups WHERE service_instance_id = $1 AND status = 'queued')
             OR EXISTS (SELECT FROM restores WHERE service_instance_id = $1 AND status = 'queued')
             OR EXISTS (SELECT FROM rehearsals WHERE service_instance_id = $1 AND status = 'running')
             OR EXISTS (SELECT FROM rehearsals WHERE service_instance_id = $1 AND status = 'queued'
                        AND (NOT may_be_at_agent, is_scheduled, triggered_at, 'rehearsal', id) < ($5, $6, $2, $3, $4)) AS blocked"
        }
    };
    let row: Blocked = diesel::sql_query(statement)
        .bind::<BigInt, _>(operation.instance.0)
        .bind::<Timestamptz, _>(operation.triggered_at)
        .bind::<Text, _>(operation.kind.as_str())
        .bind::<BigInt, _>(operation.row)
        .bind::<Bool, _>(!operation.may_be_at_agent)
        .bind::<Bool, _>(operation.is_scheduled)
        .get_result(conn)?;
    Ok(row.blocked)
}

/// The queued operation of the instance whose turn is next, in the order of [`is_blocked`].
pub fn find_next_queued(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
) -> Result<Option<(OperationKind, i64)>> {
    Ok(list_next_queued(conn, &[instance])?.pop())
}

/// Of each of the instances the queued operation whose turn is next, if there is one.
pub fn list_next_queued(
    conn: &mut PgConnection,
    instances: &[ServiceInstanceId],
) -> Result<Vec<(OperationKind, i64)>> {
    let rows = load_references(
        diesel::sql_query(
            "SELECT DISTINCT ON (service_instance_id) kind, id, is_scheduled FROM (
                 SELECT 'backup' AS kind, id, service_instance_id, is_scheduled, triggered_at, may_be_at_agent
                 FROM backups WHERE service_instance_id = ANY ($1) AND status = 'queued'
                 UNION ALL
                 SELECT 'restore', id, service_instance_id, false, triggered_at, may_be_at_agent
                 FROM restores WHERE service_instance_id = ANY ($1) AND status = 'queued'
                 UNION ALL
                 SELECT 'rehearsal', id, service_instance_id, is_scheduled, triggered_at, may_be_at_agent
                 FROM rehearsals WHERE service_instance_id = ANY ($1) AND status = 'queued'
             ) queued ORDER BY service_instance_id, kind = 'rehearsal', NOT may_be_at_agent, is_scheduled, triggered_at, kind, id",
        )
        .bind::<Array<BigInt>, _>(instances.iter().map(|id| id.0).collect::<Vec<_>>())
        .load(conn)?,
    )?;
    Ok(rows.into_iter().map(|reference| (reference.kind, reference.id)).collect())
}

/// How many backups, restores and rehearsals are not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct UnfinishedCounts {
    /// Backups that wait.
    #[diesel(sql_type = BigInt)]
    pub queued_backups: i64,
    /// Backups that run.
    #[diesel(sql_type = BigInt)]
    pub running_backups: i64,
    /// Restores that wait.
    #[diesel(sql_type = BigInt)]
    pub queued_restores: i64,
    /// Restores that run.
    #[diesel(sql_type = BigInt)]
    pub running_restores: i64,
    /// Rehearsals that wait.
    #[diesel(sql_type = BigInt)]
    pub queued_rehearsals: i64,
    /// Rehearsals that run.
    #[diesel(sql_type = BigInt)]
    pub running_rehearsals: i64,
}

/// Counts them, by the indexes that hold nothing else.
pub fn count_unfinished(conn: &mut PgConnection) -> Result<UnfinishedCounts> {
    Ok(diesel::sql_query(
        "SELECT b.queued AS queued_backups, b.running AS running_backups, r.queued AS queued_restores, r.running AS running_restores,
                t.queued AS queued_rehearsals, t.running AS running_rehearsals
         FROM (SELECT count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'running') AS running
               FROM backups WHERE status IN ('queued', 'running')) AS b,
              (SELECT count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'running') AS running
               FROM restores WHERE status IN ('queued', 'running')) AS r,
              (SELECT count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'running') AS running
               FROM rehearsals WHERE status IN ('queued', 'running')) AS t",
    )
    .get_result(conn)?)
}

/// An unfinished operation without the job that would move it on.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// Which of the three.
    pub kind: OperationKind,
    /// The row's number.
    pub id: i64,
    /// Asked for by the schedule.
    pub is_scheduled: bool,
}

/// Operations in `status` (`queued` or `running`) for which the queue holds no job with the key `<verb>-<kind>-<id>`.
pub fn list_without_job(
    conn: &mut PgConnection,
    status: &str,
    verb: &str,
    limit: i64,
) -> Result<Vec<Reference>> {
    load_references(
        diesel::sql_query(
            "SELECT * FROM (
                 SELECT 'backup' AS kind, id, is_scheduled FROM backups WHERE status = $1 AND status IN ('queued', 'running')
                 UNION ALL
                 SELECT 'restore', id, false FROM restores WHERE status = $1 AND status IN ('queued', 'running')
                 UNION ALL
                 SELECT 'rehearsal', id, is_scheduled FROM rehearsals WHERE status = $1 AND status IN ('queued', 'running')
             ) unfinished
             WHERE NOT EXISTS (SELECT FROM jobs WHERE unique_key = $2 || '-' || unfinished.kind || '-' || unfinished.id)
             LIMIT $3",
        )
        .bind::<Text, _>(status)
        .bind::<Text, _>(verb)
        .bind::<BigInt, _>(limit)
        .load(conn)?,
    )
}

#[derive(QueryableByName)]
struct ReferenceRow {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Bool)]
    is_scheduled: bool,
}

fn load_references(rows: Vec<ReferenceRow>) -> Result<Vec<Reference>> {
    rows.into_iter()
        .map(|row| {
            let unknown = || Error::Internal(format!("unknown kind of operation {}", row.kind));
            let kind = OperationKind::parse(&row.kind).ok_or_else(unknown)?;
            Ok(Reference { kind, id: row.id, is_scheduled: row.is_scheduled })
        })
        .collect()
}

fn execute_one(conn: &mut PgConnection, id: i64, statement: &str) -> Result<()> {
    let changed = diesel::sql_query(statement).bind::<BigInt, _>(id).execute(conn)?;
    expect_one(changed, id)
}

fn expect_one(changed: usize, id: i64) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::Internal(format!("row {id} is gone"))) }
}
