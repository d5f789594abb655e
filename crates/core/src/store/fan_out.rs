//! What the fan-out of backups reads and writes: a chunk of instances per statement, however large the fleet is. The
//! decisions are in the action.

use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};

use super::schema::service_instances;
use crate::domain::identifiers::{BackupId, EncryptionKeyId, ServiceInstanceGuid, ServiceInstanceId};
use crate::{Error, Result};

/// A live instance, and what its next backup depends on.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its number.
    pub id: ServiceInstanceId,
    /// Its name.
    pub guid: ServiceInstanceGuid,
    /// First half of its backups' names.
    pub backup_guid: String,
    /// The broker's word for its state.
    pub state: String,
    /// Where its agent listens.
    pub agent_url: Option<String>,
    /// Left out of the scheduled backup of all instances.
    pub is_excluded: bool,
    /// Name of its store.
    pub store: String,
    /// Its current key; none before its first sight was completed.
    pub current_key: Option<EncryptionKeyId>,
    /// See [`Precedents::name_millis`](super::backups::Precedents::name_millis).
    pub name_millis: i64,
    /// This fan-out has asked for its backup already, before a crash.
    pub is_asked: bool,
    /// A backup that this fan-out has not asked for is queued or running.
    pub has_unfinished: bool,
}

/// Instances by their numbers: those behind `after`, up to and with `last`, or all that there are.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    after: ServiceInstanceId,
    last: Option<ServiceInstanceId>,
}

/// Divides the instances that are not deleted into chunks of `size`. Those that come meanwhile belong to the last one.
pub fn divide(conn: &mut PgConnection, size: i64) -> Result<Vec<Chunk>> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let lasts: Vec<Last> = diesel::sql_query(
        "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM service_instances WHERE deleted_at IS NULL) AS live
         WHERE number % $1 = 0 ORDER BY id",
    )
    .bind::<BigInt, _>(size)
    .load(conn)?;
    let lasts: Vec<_> = lasts.into_iter().map(|row| ServiceInstanceId(row.id)).collect();
    let afters = std::iter::once(ServiceInstanceId(0)).chain(lasts.iter().copied());
    let ends = lasts.iter().copied().map(Some).chain([None]);
    Ok(afters.zip(ends).map(|(after, last)| Chunk { after, last }).collect())
}

/// Locks the instances of a chunk that are not deleted, in the order of their numbers, like everybody who locks several. What
/// stands in their way is read afterwards, by another statement: one that had to wait for a lock does not see what its
/// holder has committed.
pub fn lock(conn: &mut PgConnection, chunk: Chunk) -> Result<Vec<ServiceInstanceId>> {
    let last = chunk.last.map_or(i64::MAX, |last| last.0);
    let ids: Vec<i64> = service_instances::table
        .filter(service_instances::id.gt(chunk.after.0).and(service_instances::id.le(last)))
        .filter(service_instances::deleted_at.is_null())
        .order(service_instances::id)
        .select(service_instances::id)
        .for_no_key_update()
        .load(conn)?;
    Ok(ids.into_iter().map(ServiceInstanceId).collect())
}

/// The locked instances as candidates of the fan-out `job`, in the order of their numbers.
pub fn list(conn: &mut PgConnection, job: i64, locked: &[ServiceInstanceId]) -> Result<Vec<Candidate>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Text)]
        guid: String,
        #[diesel(sql_type = Text)]
        backup_guid: String,
        #[diesel(sql_type = Text)]
        state: String,
        #[diesel(sql_type = Nullable<Text>)]
        agent_url: Option<String>,
        #[diesel(sql_type = Bool)]
        exclude_from_auto_backup: bool,
        #[diesel(sql_type = Text)]
        store: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        current_key: Option<i64>,
        #[diesel(sql_type = BigInt)]
        name_millis: i64,
        #[diesel(sql_type = Bool)]
        is_asked: bool,
        #[diesel(sql_type = Bool)]
        has_unfinished: bool,
    }
    // OFFSET 0 keeps the look at the backups one per instance, by the index: joined as a whole, history would be read.
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT i.id, i.guid, i.backup_guid, i.state, i.agent_url, i.exclude_from_auto_backup, i.store,
                (SELECT k.id FROM encryption_keys k WHERE k.service_instance_id = i.id AND k.is_current OFFSET 0) AS current_key,
                greatest((extract(epoch FROM now()) * 1000)::bigint, i.last_name_millis + 1) AS name_millis,
                EXISTS (SELECT FROM backups b WHERE b.service_instance_id = i.id AND b.fan_out_job_id = $1 OFFSET 0) AS is_asked,
                EXISTS (SELECT FROM backups b WHERE b.service_instance_id = i.id AND b.status IN ('queued', 'running')
                        AND b.fan_out_job_id IS DISTINCT FROM $1 OFFSET 0) AS has_unfinished
         FROM service_instances i WHERE i.id = ANY ($2) ORDER BY i.id",
    )
    .bind::<BigInt, _>(job)
    .bind::<Array<BigInt>, _>(locked.iter().map(|id| id.0).collect::<Vec<_>>())
    .load(conn)?;
    let into_domain = |row: Row| {
        let guid = ServiceInstanceGuid::parse(&row.guid)
            .ok_or_else(|| Error::Internal(format!("instance {} has an illegal GUID", row.id)))?;
        Ok(Candidate {
            id: ServiceInstanceId(row.id),
            guid,
            backup_guid: row.backup_guid,
            state: row.state,
            agent_url: row.agent_url,
            is_excluded: row.exclude_from_auto_backup,
            store: row.store,
            current_key: row.current_key.map(EncryptionKeyId),
            name_millis: row.name_millis,
            is_asked: row.is_asked,
            has_unfinished: row.has_unfinished,
        })
    };
    rows.into_iter().map(into_domain).collect()
}

/// A scheduled backup to record.
#[derive(Debug, Clone)]
pub struct ScheduledBackup {
    /// Whose backup.
    pub instance: ServiceInstanceId,
    /// Its name.
    pub backup_id: String,
    /// The key it will be made with.
    pub encryption_key: EncryptionKeyId,
    /// Name of the store.
    pub store: String,
    /// See [`Backup::object_prefix`](crate::domain::backup::Backup::object_prefix).
    pub object_prefix: String,
}

/// Inserts queued backups; returns their numbers with their instances. A fan-out that asks for the same instance a second
/// time inserts nothing for it.
pub fn insert(
    conn: &mut PgConnection,
    job: i64,
    new: &[ScheduledBackup],
) -> Result<Vec<(BackupId, ServiceInstanceId)>> {
    #[derive(QueryableByName)]
    struct Inserted {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = BigInt)]
        service_instance_id: i64,
    }
    fn texts(new: &[ScheduledBackup], of: fn(&ScheduledBackup) -> &str) -> Vec<&str> {
        new.iter().map(of).collect()
    }
    let inserted: Vec<Inserted> = diesel::sql_query(
        "INSERT INTO backups (fan_out_job_id, is_scheduled, service_instance_id, backup_id, encryption_key_id, store, object_prefix)
         SELECT $1, true, new.* FROM unnest($2, $3, $4, $5, $6) AS new
         ON CONFLICT (fan_out_job_id, service_instance_id) WHERE fan_out_job_id IS NOT NULL DO NOTHING
         RETURNING id, service_instance_id",
    )
    .bind::<BigInt, _>(job)
    .bind::<Array<BigInt>, _>(new.iter().map(|backup| backup.instance.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(texts(new, |backup| &backup.backup_id))
    .bind::<Array<BigInt>, _>(new.iter().map(|backup| backup.encryption_key.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(texts(new, |backup| &backup.store))
    .bind::<Array<Text>, _>(texts(new, |backup| &backup.object_prefix))
    .load(conn)?;
    Ok(inserted
        .into_iter()
        .map(|row| (BackupId(row.id), ServiceInstanceId(row.service_instance_id)))
        .collect())
}

/// Records why scheduled backups were skipped.
pub fn update_skipped(conn: &mut PgConnection, skipped: &[(ServiceInstanceId, String)]) -> Result<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = skipped.iter().map(|(id, _)| id.0).collect();
    let reasons: Vec<&str> = skipped.iter().map(|(_, reason)| reason.as_str()).collect();
    diesel::sql_query(
        "UPDATE service_instances i SET last_skip_at = now(), last_skip_reason = skipped.reason, updated_at = now()
         FROM unnest($1, $2) AS skipped (id, reason) WHERE i.id = skipped.id",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Text>, _>(reasons)
    .execute(conn)?;
    Ok(())
}
