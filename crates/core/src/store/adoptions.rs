//! What the adoption of a backup found in its store reads and writes: its instance, its key, its row.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::{exists, now};
use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::backups::reverse;
use super::schema::{backups, encryption_keys, service_instances};
use crate::Result;
use crate::domain::cipher::KeyRing;
use crate::domain::identifiers::{
    BackupId, EncryptionKeyId, ServiceBrokerId, ServiceInstanceGuid, ServiceInstanceId,
};
use crate::domain::instance::ServiceInstance;
use crate::domain::key_envelope::InstanceFacts;

/// Which of these names of backups have rows.
pub fn list_known(conn: &mut PgConnection, names: &[String]) -> Result<Vec<String>> {
    let reversed: Vec<String> = names.iter().map(|name| name.chars().rev().collect()).collect();
    Ok(backups::table
        .filter(reverse(backups::backup_id).eq_any(reversed))
        .select(backups::backup_id)
        .load(conn)?)
}

/// Inserts an instance that no broker names any more as deleted just now, unless the GUID has a row meanwhile.
pub fn insert_deleted_instance(
    conn: &mut PgConnection,
    guid: &ServiceInstanceGuid,
    broker: ServiceBrokerId,
    store: &str,
    backup_guid: &str,
    facts: &InstanceFacts,
) -> Result<()> {
    use service_instances as i;
    diesel::insert_into(i::table)
        .values((
            i::guid.eq(guid.as_str()),
            i::backup_guid.eq(backup_guid),
            i::service_broker_id.eq(broker.0),
            i::state.eq("deleted"),
            i::deployment_name.eq(&facts.deployment_name),
            i::plan_guid.eq(&facts.plan_guid),
            i::service_guid.eq(&facts.service_guid),
            i::organization_guid.eq(&facts.organization_guid),
            i::space_guid.eq(&facts.space_guid),
            i::data_service.eq(&facts.data_service),
            i::store.eq(store),
            i::deleted_at.eq(now),
        ))
        .on_conflict(i::guid)
        .do_nothing()
        .execute(conn)?;
    Ok(())
}

/// Whether an instance has this `backup_guid`.
pub fn is_backup_guid_taken(conn: &mut PgConnection, backup_guid: &str) -> Result<bool> {
    let taken = service_instances::table.filter(service_instances::backup_guid.eq(backup_guid));
    Ok(diesel::select(exists(taken)).get_result(conn)?)
}

/// Whether the instance has backups in the folder of its `backup_guid`.
pub fn has_backups_in_its_folder(conn: &mut PgConnection, instance: &ServiceInstance) -> Result<bool> {
    let prefix = format!("{}-", instance.backup_guid);
    let own = backups::table.filter(backups::service_instance_id.eq(instance.id.0)).filter(
        diesel::dsl::sql::<diesel::sql_types::Bool>("starts_with(backup_id, ")
            .bind::<diesel::sql_types::Text, _>(prefix)
            .sql(")"),
    );
    Ok(diesel::select(exists(own)).get_result(conn)?)
}

/// Gives the instance another folder for the backups to come.
pub fn update_backup_guid(conn: &mut PgConnection, id: ServiceInstanceId, backup_guid: &str) -> Result<()> {
    diesel::update(service_instances::table.find(id.0))
        .set((service_instances::backup_guid.eq(backup_guid), service_instances::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// Finds the instance's row for this very key, or inserts one that is not current. `used_at` is when it is known to have
/// been in use: the row's age, so that of two keys the one set later is known.
pub fn find_or_insert_key(
    conn: &mut PgConnection,
    key_ring: &KeyRing,
    instance: &ServiceInstance,
    key: &SecretString,
    is_own: bool,
    used_at: DateTime<Utc>,
) -> Result<EncryptionKeyId> {
    use encryption_keys as k;
    let row = instance.guid.as_str().as_bytes();
    let known: Vec<(i64, String, Vec<u8>)> = k::table
        .filter(k::service_instance_id.eq(instance.id.0).and(k::is_own.eq(is_own)))
        .order(k::id)
        .select((k::id, k::master_key_id, k::ciphertext))
        .load(conn)?;
    for (id, master_key_id, ciphertext) in known {
        // One that cannot be read is another one.
        let plain = key_ring.decrypt(&master_key_id, &ciphertext, row);
        if plain.is_ok_and(|plain| plain.expose_secret() == key.expose_secret()) {
            return Ok(EncryptionKeyId(id));
        }
    }
    let (master_key_id, ciphertext) = key_ring.encrypt(key, row)?;
    let id = diesel::insert_into(k::table)
        .values((
            k::service_instance_id.eq(instance.id.0),
            k::ciphertext.eq(ciphertext),
            k::master_key_id.eq(master_key_id),
            k::is_own.eq(is_own),
            k::is_current.eq(false),
            k::created_at.eq(used_at),
        ))
        .returning(k::id)
        .get_result(conn)?;
    Ok(EncryptionKeyId(id))
}

/// Makes a key of a backup that was triggered at `used_at` the instance's current one if there is none, or if it is the
/// owner's and the current one was generated or set by the owner earlier.
pub fn update_current_key(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    key: EncryptionKeyId,
    is_own: bool,
    used_at: DateTime<Utc>,
) -> Result<()> {
    use encryption_keys as k;
    let current: Option<(i64, bool, DateTime<Utc>)> = k::table
        .filter(k::service_instance_id.eq(instance.0).and(k::is_current))
        .select((k::id, k::is_own, k::created_at))
        .first(conn)
        .optional()?;
    let is_superseded = match current {
        None => true,
        Some((id, is_current_own, created_at)) => {
            id != key.0 && is_own && (!is_current_own || created_at < used_at)
        }
    };
    // A backup with an own key that is newer than this one tells of a later choice of the owner's.
    let later = backups::table.inner_join(k::table).filter(
        backups::service_instance_id.eq(instance.0).and(backups::triggered_at.gt(used_at)).and(k::is_own),
    );
    if !is_superseded || diesel::select(exists(later)).get_result(conn)? {
        return Ok(());
    }
    diesel::update(k::table.filter(k::service_instance_id.eq(instance.0).and(k::is_current)))
        .set(k::is_current.eq(false))
        .execute(conn)?;
    diesel::update(k::table.find(key.0)).set(k::is_current.eq(true)).execute(conn)?;
    Ok(())
}

/// The row of a backup that was found in its store.
#[derive(Debug, Clone)]
pub struct AdoptedBackup<'a> {
    /// Whose backup.
    pub instance: ServiceInstanceId,
    /// Its name.
    pub backup_id: &'a str,
    /// Asked for by the schedule.
    pub is_scheduled: bool,
    /// The key it was made with.
    pub encryption_key: EncryptionKeyId,
    /// Name of the store it was found in.
    pub store: &'a str,
    /// Where it was found, without its name.
    pub object_prefix: &'a str,
    /// Stored bytes.
    pub size: i64,
    /// SHA-256 over them.
    pub checksum: &'a str,
    /// Filters in the order they were applied.
    pub filter_plugins: &'a [String],
    /// Plain bytes.
    pub bytes_processed: i64,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// When the agent began.
    pub started_at: DateTime<Utc>,
    /// When the agent had stored it.
    pub finished_at: DateTime<Utc>,
}

/// Inserts it as `done`.
pub fn insert(conn: &mut PgConnection, new: &AdoptedBackup<'_>) -> Result<BackupId> {
    use backups as b;
    let id = diesel::insert_into(b::table)
        .values((
            b::service_instance_id.eq(new.instance.0),
            b::backup_id.eq(new.backup_id),
            b::status.eq("done"),
            b::is_scheduled.eq(new.is_scheduled),
            b::encryption_key_id.eq(new.encryption_key.0),
            b::store.eq(new.store),
            b::object_prefix.eq(new.object_prefix),
            b::size.eq(new.size),
            b::checksum.eq(new.checksum),
            b::filter_plugins.eq(Value::from(new.filter_plugins.to_vec())),
            b::bytes_processed.eq(new.bytes_processed),
            b::triggered_at.eq(new.triggered_at),
            b::started_at.eq(new.started_at),
            b::finished_at.eq(new.finished_at),
            b::adopted_at.eq(now),
        ))
        .returning(b::id)
        .get_result(conn)?;
    Ok(BackupId(id))
}

/// Whether a backup of the instance that was triggered later has been adopted.
pub fn has_later_adopted(
    conn: &mut PgConnection,
    instance: ServiceInstanceId,
    triggered_at: DateTime<Utc>,
) -> Result<bool> {
    let later = backups::table.filter(
        backups::service_instance_id
            .eq(instance.0)
            .and(backups::adopted_at.is_not_null())
            .and(backups::triggered_at.gt(triggered_at)),
    );
    Ok(diesel::select(exists(later)).get_result(conn)?)
}

/// Brings back what the owner had configured.
pub fn update_configuration(
    conn: &mut PgConnection,
    id: ServiceInstanceId,
    facts: &InstanceFacts,
) -> Result<()> {
    use service_instances as i;
    diesel::update(i::table.find(id.0))
        .set((
            i::min_backup_count.eq(facts.min_backup_count),
            i::retention_days.eq(facts.retention_days),
            i::exclude_from_auto_backup.eq(facts.exclude_from_auto_backup),
            i::credentials_updated_by_user.eq(facts.credentials_updated_by_user),
            i::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Of an instance that is known from its backups alone: whose it was, and what else a broker would say.
pub fn update_facts(conn: &mut PgConnection, id: ServiceInstanceId, facts: &InstanceFacts) -> Result<()> {
    use service_instances as i;
    // Only `insert_deleted_instance` makes instances that were never alive here.
    let was_never_listed = i::deleted_at.eq(i::created_at.nullable());
    diesel::update(i::table.filter(i::id.eq(id.0).and(was_never_listed)))
        .set((
            i::deployment_name.eq(&facts.deployment_name),
            i::plan_guid.eq(&facts.plan_guid),
            i::service_guid.eq(&facts.service_guid),
            i::organization_guid.eq(&facts.organization_guid),
            i::space_guid.eq(&facts.space_guid),
        ))
        .execute(conn)?;
    Ok(())
}

/// The instance had a good backup at this time.
pub fn update_last_done(
    conn: &mut PgConnection,
    id: ServiceInstanceId,
    done_at: DateTime<Utc>,
) -> Result<()> {
    use service_instances as i;
    let earlier = i::last_done_at.is_null().or(i::last_done_at.lt(done_at));
    diesel::update(i::table.filter(i::id.eq(id.0).and(earlier)))
        .set((i::last_done_at.eq(done_at), i::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}
