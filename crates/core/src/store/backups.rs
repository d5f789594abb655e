//! The backups: reading them for people and for retention, and the moves that only backups make.
//! Dispatching and watching, which restores share, are in `operations.rs`.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::{Eq, exists};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};
use serde_json::Value;

use super::holds::HoldRow;
use super::schema::{backups, encryption_keys, holds, restores, service_instances, verifications};
use super::statuses::{HoldInForce, UnfinishedRestore};
use crate::domain::backup::{Backup, BackupStatus};
use crate::domain::hold::Hold;
use crate::domain::identifiers::{BackupId, EncryptionKeyId, ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::rehearsal::{Verdict, Verification};
use crate::{Error, Result};

diesel::define_sql_function! {
    /// The text from behind: names of backups are indexed so.
    fn reverse(text: Text) -> Text;
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = backups, check_for_backend(diesel::pg::Pg))]
struct BackupRow {
    id: i64,
    service_instance_id: i64,
    backup_id: String,
    status: String,
    is_scheduled: bool,
    encryption_key_id: i64,
    store: String,
    object_prefix: String,
    size: i64,
    checksum: Option<String>,
    filter_plugins: Value,
    bytes_processed: i64,
    total_bytes_estimate: Option<i64>,
    reason_code: Option<String>,
    msg: Option<String>,
    triggered_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    marked_deleted_at: Option<DateTime<Utc>>,
    removal_reason: Option<String>,
    has_remains: bool,
    removal_error: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = verifications, check_for_backend(diesel::pg::Pg))]
struct VerificationRow {
    verdict: String,
    last_verified_at: Option<DateTime<Utc>>,
    restore_ms: Option<i64>,
}

/// The row, `is_own` and `is_current` of its key, whether a restore uses it, the hold that is in force, and what rehearsals say.
type Loaded = (BackupRow, (bool, bool), bool, Option<HoldRow>, Option<VerificationRow>);

fn into_domain(
    (row, (is_own, is_current), is_used_by_restore, hold, verification): Loaded,
) -> Result<Backup> {
    let status = BackupStatus::parse(&row.status)
        .ok_or_else(|| Error::Internal(format!("backup {} has the unknown status {}", row.id, row.status)))?;
    Ok(Backup {
        id: BackupId(row.id),
        instance: ServiceInstanceId(row.service_instance_id),
        backup_id: row.backup_id,
        status,
        is_scheduled: row.is_scheduled,
        encryption_key: EncryptionKeyId(row.encryption_key_id),
        has_current_own_key: is_own && is_current,
        store: row.store,
        object_prefix: row.object_prefix,
        size: row.size,
        checksum: row.checksum,
        filter_plugins: serde_json::from_value(row.filter_plugins).unwrap_or_default(),
        bytes_processed: row.bytes_processed,
        total_bytes_estimate: row.total_bytes_estimate,
        reason_code: row.reason_code,
        msg: row.msg,
        triggered_at: row.triggered_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        updated_at: row.updated_at,
        marked_deleted_at: row.marked_deleted_at,
        removal_reason: row.removal_reason,
        has_remains: row.has_remains,
        is_used_by_restore,
        hold: hold.map(Hold::from),
        removal_error: row.removal_error,
        verification: verification.and_then(verification_of),
    })
}

fn verification_of(row: VerificationRow) -> Option<Verification> {
    Some(Verification {
        verdict: Verdict::parse(&row.verdict)?,
        last_verified_at: row.last_verified_at,
        restore_ms: row.restore_ms,
    })
}

/// A select of backups as [`Loaded`]; the caller adds filter, order and lock.
macro_rules! select_backups {
    () => {
        backups::table
            .inner_join(encryption_keys::table)
            .left_join(holds::table.on(holds::backup_row_id.eq(backups::id).and(HoldInForce)))
            .left_join(verifications::table.on(verifications::backup_row_id.eq(backups::id)))
            .select((
                BackupRow::as_select(),
                (encryption_keys::is_own, encryption_keys::is_current),
                exists(
                    restores::table.filter(restores::backup_row_id.eq(backups::id).and(UnfinishedRestore)),
                ),
                Option::<HoldRow>::as_select(),
                Option::<VerificationRow>::as_select(),
            ))
    };
}

/// What a new backup's row starts with.
#[derive(Debug, Clone)]
pub struct NewBackup {
    /// Whose backup.
    pub instance: ServiceInstanceId,
    /// Its name.
    pub backup_id: String,
    /// Asked for by the schedule.
    pub is_scheduled: bool,
    /// The key it will be made with.
    pub encryption_key: EncryptionKeyId,
    /// Name of the store.
    pub store: String,
    /// See [`Backup::object_prefix`].
    pub object_prefix: String,
    /// The client's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

type NewRow<'a> = (
    Eq<backups::service_instance_id, i64>,
    Eq<backups::backup_id, &'a str>,
    Eq<backups::is_scheduled, bool>,
    Eq<backups::encryption_key_id, i64>,
    Eq<backups::store, &'a str>,
    Eq<backups::object_prefix, &'a str>,
    Eq<backups::idempotency_key, Option<&'a str>>,
);

impl NewBackup {
    fn row(&self) -> NewRow<'_> {
        (
            backups::service_instance_id.eq(self.instance.0),
            backups::backup_id.eq(self.backup_id.as_str()),
            backups::is_scheduled.eq(self.is_scheduled),
            backups::encryption_key_id.eq(self.encryption_key.0),
            backups::store.eq(self.store.as_str()),
            backups::object_prefix.eq(self.object_prefix.as_str()),
            backups::idempotency_key.eq(self.idempotency_key.as_deref()),
        )
    }
}

/// Inserts one queued backup.
pub fn insert(conn: &mut PgConnection, new: &NewBackup) -> Result<BackupId> {
    let id = diesel::insert_into(backups::table).values(new.row()).returning(backups::id).get_result(conn)?;
    Ok(BackupId(id))
}

/// What a new backup of an instance depends on.
#[derive(Debug, Clone, Copy)]
pub struct Precedents {
    /// The instance's current key; none before its first sight was completed.
    pub current_key: Option<EncryptionKeyId>,
    /// Milliseconds since the epoch for the backup's name: the database's time, and always after every name the instance's
    /// backups ever had (`no_name_is_given_twice_when_the_clock_went_back`).
    pub name_millis: i64,
}

/// Reads in one statement what a new backup of this (locked) instance depends on.
pub fn precedents(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Precedents> {
    let current_key = encryption_keys::table
        .filter(encryption_keys::service_instance_id.eq(instance.0).and(encryption_keys::is_current))
        .select(encryption_keys::id)
        .single_value();
    let now = diesel::dsl::now.into_sql::<Timestamptz>();
    let (now, current_key, last): (DateTime<Utc>, Option<i64>, i64) = service_instances::table
        .find(instance.0)
        .select((now, current_key, service_instances::last_name_millis))
        .get_result(conn)?;
    Ok(Precedents {
        current_key: current_key.map(EncryptionKeyId),
        name_millis: now.timestamp_millis().max(last.saturating_add(1)),
    })
}

/// One backup of the instance.
pub fn find(conn: &mut PgConnection, instance: ServiceInstanceId, id: BackupId) -> Result<Option<Backup>> {
    select_backups!()
        .filter(backups::service_instance_id.eq(instance.0).and(backups::id.eq(id.0)))
        .first::<Loaded>(conn)
        .optional()?
        .map(into_domain)
        .transpose()
}

/// One backup of the instance of this GUID, in one statement.
pub fn find_by_guid(
    conn: &mut PgConnection,
    guid: &ServiceInstanceGuid,
    id: BackupId,
) -> Result<Option<Backup>> {
    let instance = service_instances::table
        .filter(service_instances::guid.eq(guid.as_str()))
        .select(service_instances::id)
        .single_value();
    select_backups!()
        .filter(backups::id.eq(id.0).and(backups::service_instance_id.nullable().eq(instance)))
        .first::<Loaded>(conn)
        .optional()?
        .map(into_domain)
        .transpose()
}

/// One backup by its number alone.
pub fn get(conn: &mut PgConnection, id: BackupId) -> Result<Backup> {
    select_backups!()
        .filter(backups::id.eq(id.0))
        .first::<Loaded>(conn)
        .optional()?
        .map(into_domain)
        .transpose()?
        .ok_or(Error::BackupNotFound(id))
}

/// Locks one backup until the end of the transaction and reads it.
pub fn lock(conn: &mut PgConnection, id: BackupId) -> Result<Backup> {
    backups::table
        .find(id.0)
        .select(backups::id)
        .for_update()
        .first::<i64>(conn)
        .optional()?
        .ok_or(Error::BackupNotFound(id))?;
    get(conn, id)
}

/// At most `limit` backups of one instance, newest first; those older than `before`.
pub fn list_before(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    before: Option<BackupId>,
    limit: i64,
) -> Result<Vec<Backup>> {
    let before = before.map_or(i64::MAX, |id| id.0);
    select_backups!()
        .filter(backups::service_instance_id.eq(instance.0).and(backups::id.lt(before)))
        .order(backups::id.desc())
        .limit(limit)
        .load::<Loaded>(conn)?
        .into_iter()
        .map(into_domain)
        .collect()
}

/// The backup a client's `Idempotency-Key` stands for, while the key is remembered: 24 hours.
pub fn find_idempotent(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    key: &str,
) -> Result<Option<BackupId>> {
    let remembered_since = super::now(conn)? - chrono::Duration::hours(24);
    // An older use of the key is forgotten first, so that the key can be used again.
    diesel::update(backups::table)
        .filter(
            backups::service_instance_id
                .eq(instance.0)
                .and(backups::idempotency_key.eq(key))
                .and(backups::triggered_at.lt(remembered_since)),
        )
        .set(backups::idempotency_key.eq(None::<String>))
        .execute(conn)?;
    Ok(backups::table
        .filter(backups::service_instance_id.eq(instance.0).and(backups::idempotency_key.eq(key)))
        .select(backups::id)
        .first(conn)
        .optional()?
        .map(BackupId))
}

/// What the agent reported and the store confirmed of a complete backup.
#[derive(Debug, Clone)]
pub struct Completion {
    /// Stored bytes.
    pub size: i64,
    /// SHA-256 over them.
    pub checksum: String,
    /// Filters in the order they were applied.
    pub filter_plugins: Vec<String>,
    /// Plain bytes read.
    pub bytes_processed: i64,
}

/// `running` → `done`.
pub fn update_done(conn: &mut PgConnection, id: BackupId, completion: &Completion) -> Result<()> {
    diesel::update(backups::table.find(id.0))
        .set((
            backups::status.eq("done"),
            backups::size.eq(completion.size),
            backups::checksum.eq(&completion.checksum),
            backups::filter_plugins.eq(Value::from(completion.filter_plugins.clone())),
            backups::bytes_processed.eq(completion.bytes_processed),
            backups::msg.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}
