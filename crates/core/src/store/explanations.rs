//! What keeps the next backup of an instance, as the tables say. A handful of rows by their keys, whatever waits elsewhere.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz};

use crate::domain::explanation::{InFront, JobFacts, JobState, NextBackup};
use crate::domain::identifiers::{BackupId, ServiceInstanceId};
use crate::domain::places::Candidate;
use crate::{Error, Result};

/// Those ahead in a line are counted so far.
const MOST_AHEAD: i64 = 1000;

/// The queued backup of the instance whose turn is next.
pub fn find_waiting(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Option<NextBackup>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Bool)]
        is_scheduled: bool,
        #[diesel(sql_type = Timestamptz)]
        triggered_at: DateTime<Utc>,
        #[diesel(sql_type = Nullable<Text>)]
        msg: Option<String>,
        #[diesel(sql_type = Bool)]
        is_cancelled: bool,
    }
    let row: Option<Row> = diesel::sql_query(
        "SELECT id, is_scheduled, triggered_at, msg, cancel_requested_at IS NOT NULL AS is_cancelled
         FROM backups WHERE service_instance_id = $1 AND status = 'queued' AND status IN ('queued', 'running')
         ORDER BY NOT may_be_at_agent, is_scheduled, triggered_at, id LIMIT 1",
    )
    .bind::<BigInt, _>(instance.0)
    .get_result(conn)
    .optional()?;
    Ok(row.map(|row| NextBackup {
        id: row.id,
        is_scheduled: row.is_scheduled,
        triggered_at: row.triggered_at,
        msg: row.msg,
        is_cancelled: row.is_cancelled,
    }))
}

/// The operation of the instance that runs; else the restore that waits in front of this backup.
pub fn find_in_front(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    backup: Option<BackupId>,
) -> Result<Option<InFront>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Bool)]
        is_running: bool,
        #[diesel(sql_type = Timestamptz)]
        since: DateTime<Utc>,
    }
    let row: Option<Row> = diesel::sql_query(
        "SELECT kind, row_id AS id, true AS is_running, since FROM running_operations WHERE service_instance_id = $1
         UNION ALL
         SELECT 'restore', r.id, false, r.triggered_at FROM restores r JOIN backups b ON b.id = $2
         WHERE r.service_instance_id = $1 AND r.status = 'queued' AND r.status IN ('queued', 'running')
           AND (NOT r.may_be_at_agent, false, r.triggered_at, 'restore')
               < (NOT b.may_be_at_agent, b.is_scheduled, b.triggered_at, 'backup')
         LIMIT 1",
    )
    .bind::<BigInt, _>(instance.0)
    .bind::<Nullable<BigInt>, _>(backup.map(|backup| backup.0))
    .get_result(conn)
    .optional()?;
    Ok(row.map(|row| InFront { kind: row.kind, id: row.id, is_running: row.is_running, since: row.since }))
}

/// The unfinished job with this unique key.
pub fn find_job(conn: &mut PgConnection, unique_key: &str) -> Result<Option<JobFacts>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        state: String,
        #[diesel(sql_type = Timestamptz)]
        run_at: DateTime<Utc>,
        #[diesel(sql_type = Integer)]
        attempt: i32,
        #[diesel(sql_type = Integer)]
        max_attempts: i32,
        #[diesel(sql_type = Nullable<Text>)]
        last_error: Option<String>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        claimed_at: Option<DateTime<Utc>>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        lease_expires_at: Option<DateTime<Utc>>,
    }
    let row: Option<Row> = diesel::sql_query(
        "SELECT state, run_at, attempt, max_attempts, last_error, claimed_at, lease_expires_at
         FROM jobs WHERE unique_key = $1",
    )
    .bind::<Text, _>(unique_key)
    .get_result(conn)
    .optional()?;
    row.map(|row| {
        let state = match row.state.as_str() {
            "ready" => JobState::Ready,
            "scheduled" => JobState::Scheduled,
            "running" => JobState::Running,
            other => return Err(Error::Internal(format!("a job is {other}"))),
        };
        Ok(JobFacts {
            state,
            run_at: row.run_at,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            last_error: row.last_error,
            claimed_at: row.claimed_at,
            lease_expires_at: row.lease_expires_at,
        })
    })
    .transpose()
}

/// The line a waiting backup stands in, since when, and how many of it are ahead; none when it waits in none.
pub fn find_line(
    conn: &mut PgConnection,
    backup: BackupId,
) -> Result<Option<(Candidate, DateTime<Utc>, i64)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        line: i64,
        #[diesel(sql_type = Text)]
        broker: String,
        #[diesel(sql_type = Text)]
        store: String,
        #[diesel(sql_type = Integer)]
        owner_held: i32,
        #[diesel(sql_type = Timestamptz)]
        served_at: DateTime<Utc>,
        #[diesel(sql_type = Bool)]
        is_scheduled: bool,
        #[diesel(sql_type = Timestamptz)]
        asked_at: DateTime<Utc>,
        #[diesel(sql_type = BigInt)]
        ahead: i64,
    }
    let row: Option<Row> = diesel::sql_query(format!(
        "SELECT l.id AS line, s.name AS broker, l.store, l.held AS owner_held, l.served_at, p.is_scheduled, p.asked_at,
                (SELECT count(*) FROM (
                     SELECT FROM places o
                     WHERE o.line_id = p.line_id AND o.is_scheduled = p.is_scheduled AND o.held_since IS NULL
                       AND (o.asked_at, o.backup_row_id) < (p.asked_at, p.backup_row_id)
                     LIMIT {MOST_AHEAD}) AS ahead) AS ahead
         FROM places p JOIN place_lines l ON l.id = p.line_id JOIN service_brokers s ON s.id = l.service_broker_id
         WHERE p.backup_row_id = $1 AND p.held_since IS NULL"
    ))
    .bind::<BigInt, _>(backup.0)
    .get_result(conn)
    .optional()?;
    Ok(row.map(|row| {
        let candidate = Candidate {
            line: row.line,
            broker: row.broker,
            store: row.store,
            owner_held: row.owner_held.into(),
            served_at: row.served_at,
            is_scheduled: row.is_scheduled,
        };
        (candidate, row.asked_at, row.ahead)
    }))
}

/// When the schedule of this name fires next.
pub fn find_next_run(conn: &mut PgConnection, schedule: &str) -> Result<Option<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        next_run_at: DateTime<Utc>,
    }
    let row: Option<Row> = diesel::sql_query("SELECT next_run_at FROM schedules WHERE name = $1")
        .bind::<Text, _>(schedule)
        .get_result(conn)
        .optional()?;
    Ok(row.map(|row| row.next_run_at))
}
