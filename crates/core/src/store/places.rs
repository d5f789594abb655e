//! Places under the limits of running backups: who waits for one, who holds one. The lines' counters are kept by a trigger,
//! and a place goes with the end of its backup by another; so what is counted is what is, whichever way a backup ends.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz};

use crate::domain::identifiers::BackupId;
use crate::domain::places::{Candidate, Holding, Standing};
use crate::{Error, Result};

/// Where a backup stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It has asked for none.
    None,
    /// It waits, since then.
    Waiting(DateTime<Utc>),
    /// It holds one, since then.
    Held(DateTime<Utc>),
}

/// The place of a backup. Locks nothing: who gives places waits for jobs whose handlers ask this.
pub fn find(conn: &mut PgConnection, backup: BackupId) -> Result<Place> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        asked_at: DateTime<Utc>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        held_since: Option<DateTime<Utc>>,
    }
    let row: Option<Row> =
        diesel::sql_query("SELECT asked_at, held_since FROM places WHERE backup_row_id = $1")
            .bind::<BigInt, _>(backup.0)
            .get_result(conn)
            .optional()?;
    Ok(match row {
        None => Place::None,
        Some(Row { held_since: Some(since), .. }) => Place::Held(since),
        Some(Row { asked_at, .. }) => Place::Waiting(asked_at),
    })
}

/// Puts a backup into its line. One that is there already keeps its place in it.
pub fn ask(conn: &mut PgConnection, backup: BackupId) -> Result<()> {
    insert(conn, "b.id = $1", false, backup.0)?;
    Ok(())
}

/// Counts backups that run, or may be at an agent, and have no place, because there was no limit when they began.
pub fn adopt_running(conn: &mut PgConnection) -> Result<usize> {
    let without = "b.status IN ('queued', 'running') AND (b.status = 'running' OR b.may_be_at_agent)
                   AND NOT EXISTS (SELECT FROM places WHERE backup_row_id = b.id) AND b.id > $1";
    insert(conn, without, true, 0)
}

fn insert(conn: &mut PgConnection, which: &str, is_held: bool, parameter: i64) -> Result<usize> {
    // Lines in the order of their keys: two of these statements that meet then wait, and do not deadlock.
    Ok(diesel::sql_query(format!(
        "WITH asking AS MATERIALIZED (
             SELECT b.id, i.service_broker_id, b.store, b.is_scheduled,
                    coalesce(i.organization_guid, i.space_guid, i.tenant_id, i.guid) AS owner
             FROM backups b JOIN service_instances i ON i.id = b.service_instance_id WHERE {which}
         ),
         line AS (
             INSERT INTO place_lines (service_broker_id, store, owner)
             SELECT DISTINCT service_broker_id, store, owner FROM asking ORDER BY 1, 2, 3
             ON CONFLICT (service_broker_id, store, owner) DO UPDATE SET owner = excluded.owner
             RETURNING id, service_broker_id, store, owner
         )
         INSERT INTO places (backup_row_id, line_id, is_scheduled, held_since)
         SELECT asking.id, line.id, is_scheduled, CASE WHEN $2 THEN clock_timestamp() END
         FROM asking JOIN line USING (service_broker_id, store, owner)
         ON CONFLICT (backup_row_id) DO NOTHING"
    ))
    .bind::<BigInt, _>(parameter)
    .bind::<Bool, _>(is_held)
    .execute(conn)?)
}

/// Gives back a place that is not used, or leaves the line.
pub fn give_back(conn: &mut PgConnection, backup: BackupId) -> Result<()> {
    diesel::sql_query("DELETE FROM places WHERE backup_row_id = $1")
        .bind::<BigInt, _>(backup.0)
        .execute(conn)?;
    Ok(())
}

/// Whether anybody waits; reads one row.
pub fn is_anybody_waiting(conn: &mut PgConnection) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        waits: bool,
    }
    // In the order of the indexes: EXISTS would rather read the table, which may have thousands of lines in which nobody waits.
    let first = |waiting: &str| {
        format!(
            "(SELECT true FROM place_lines WHERE {waiting} > 0 ORDER BY service_broker_id, store, held, served_at, id LIMIT 1)"
        )
    };
    let row: Row = diesel::sql_query(format!(
        "SELECT coalesce({}, {}, false) AS waits",
        first("waiting_on_demand"),
        first("waiting_scheduled")
    ))
    .get_result(conn)?;
    Ok(row.waits)
}

/// Locks the giving of places until the end of the transaction. Returns how many on-demand backups got theirs in a row.
pub fn lock_turns(conn: &mut PgConnection) -> Result<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        on_demand_in_a_row: i32,
    }
    let row: Row =
        diesel::sql_query("SELECT on_demand_in_a_row FROM place_turns FOR UPDATE").get_result(conn)?;
    Ok(row.on_demand_in_a_row)
}

/// Records how many on-demand backups got their places in a row.
pub fn update_turns(conn: &mut PgConnection, on_demand_in_a_row: i32) -> Result<()> {
    diesel::sql_query("UPDATE place_turns SET on_demand_in_a_row = $1 WHERE on_demand_in_a_row <> $1")
        .bind::<Integer, _>(on_demand_in_a_row)
        .execute(conn)?;
    Ok(())
}

/// Who holds how many places; reads the lines that hold any.
pub fn standing(conn: &mut PgConnection, brokers: usize) -> Result<Standing> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        store: String,
        #[diesel(sql_type = BigInt)]
        held: i64,
    }
    #[derive(QueryableByName)]
    struct Owners {
        #[diesel(sql_type = Bool)]
        are_many: bool,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT name, store, held
         FROM (SELECT service_broker_id, store, sum(held)::bigint AS held FROM place_lines WHERE held > 0 GROUP BY 1, 2) AS sums
         JOIN service_brokers ON service_brokers.id = service_broker_id",
    )
    .load(conn)?;
    // The ends of an index: no rows are counted.
    let owners: Owners = diesel::sql_query(
        "SELECT coalesce((SELECT min(organization_guid) FROM service_instances)
                      <> (SELECT max(organization_guid) FROM service_instances), false) AS are_many",
    )
    .get_result(conn)?;
    let holding = |row: Row| Holding { broker: row.name, store: row.store, held: row.held };
    Ok(Standing {
        held: rows.into_iter().map(holding).collect(),
        brokers: i64::try_from(brokers).unwrap_or(i64::MAX),
        has_many_owners: owners.are_many,
    })
}

#[derive(QueryableByName)]
struct Head {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    store: String,
    #[diesel(sql_type = Integer)]
    held: i32,
    #[diesel(sql_type = Timestamptz)]
    served_at: DateTime<Utc>,
}

/// For each broker and store with a line: the line with the fewest places that waited longest. Jumps from pair to pair through
/// the index of the lines in which somebody waits, however many there are.
pub fn heads(conn: &mut PgConnection, is_scheduled: bool) -> Result<Vec<Candidate>> {
    let waiting = if is_scheduled { "waiting_scheduled" } else { "waiting_on_demand" };
    let rows: Vec<Head> = diesel::sql_query(format!(
        "WITH RECURSIVE pair AS (
             (SELECT service_broker_id, store FROM place_lines WHERE {waiting} > 0
              ORDER BY service_broker_id, store LIMIT 1)
             UNION ALL
             SELECT following.* FROM pair, LATERAL (
                 SELECT service_broker_id, store FROM place_lines
                 WHERE {waiting} > 0 AND (service_broker_id, store) > (pair.service_broker_id, pair.store)
                 ORDER BY service_broker_id, store LIMIT 1) AS following
         )
         SELECT head.id, name, pair.store, head.held, head.served_at
         FROM pair JOIN service_brokers ON service_brokers.id = pair.service_broker_id, LATERAL (
             SELECT id, held, served_at FROM place_lines AS line
             WHERE {waiting} > 0 AND line.service_broker_id = pair.service_broker_id AND line.store = pair.store
             ORDER BY held, served_at, id LIMIT 1) AS head"
    ))
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| Candidate {
            line: row.id,
            broker: row.name,
            store: row.store,
            owner_held: row.held.into(),
            served_at: row.served_at,
            is_scheduled,
        })
        .collect())
}

/// The backup of a line that has waited longest.
pub fn find_first(conn: &mut PgConnection, line: &Candidate) -> Result<Option<BackupId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        backup_row_id: i64,
    }
    let row: Option<Row> = diesel::sql_query(
        "SELECT backup_row_id FROM places WHERE line_id = $1 AND is_scheduled = $2 AND held_since IS NULL
         ORDER BY asked_at, backup_row_id LIMIT 1",
    )
    .bind::<BigInt, _>(line.line)
    .bind::<Bool, _>(line.is_scheduled)
    .get_result(conn)
    .optional()?;
    Ok(row.map(|row| BackupId(row.backup_row_id)))
}

/// Gives a waiting backup its place; false when it no longer waits.
pub fn give(conn: &mut PgConnection, backup: BackupId) -> Result<bool> {
    let given = diesel::sql_query(
        "UPDATE places SET held_since = clock_timestamp() WHERE backup_row_id = $1 AND held_since IS NULL",
    )
    .bind::<BigInt, _>(backup.0)
    .execute(conn)?;
    match given {
        0 | 1 => Ok(given == 1),
        more => Err(Error::Internal(format!("{more} places of one backup"))),
    }
}

/// Places of one broker's instances, and who waits for one.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BrokerPlaces {
    /// The broker.
    #[diesel(sql_type = Text)]
    pub broker: String,
    /// Backups that hold a place.
    #[diesel(sql_type = BigInt)]
    pub held: i64,
    /// Backups that a person asked for and that wait for one.
    #[diesel(sql_type = BigInt)]
    pub waiting_on_demand: i64,
    /// Backups that the schedule asked for and that wait for one.
    #[diesel(sql_type = BigInt)]
    pub waiting_scheduled: i64,
}

/// Counts them by broker, from the lines; none without limits, as nobody has stood in line then.
pub fn count(conn: &mut PgConnection) -> Result<Vec<BrokerPlaces>> {
    Ok(diesel::sql_query(
        "SELECT name AS broker, sum(held)::bigint AS held, sum(waiting_on_demand)::bigint AS waiting_on_demand,
                sum(waiting_scheduled)::bigint AS waiting_scheduled
         FROM place_lines JOIN service_brokers ON service_brokers.id = service_broker_id GROUP BY name ORDER BY name",
    )
    .load(conn)?)
}

/// Forgets lines that nobody has stood in for an hour.
pub fn delete_empty_lines(conn: &mut PgConnection) -> Result<usize> {
    Ok(diesel::sql_query(
        "DELETE FROM place_lines WHERE waiting_on_demand = 0 AND waiting_scheduled = 0 AND held = 0
         AND served_at < clock_timestamp() - interval '1 hour'",
    )
    .execute(conn)?)
}
