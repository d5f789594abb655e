//! Rows as tests want them, past the actions of the product: an instance, a backup of any status and age.

use anyhow::Context;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::Database;

/// A service instance with its current key; [`Database::seed_instance`].
#[derive(Debug, Clone, QueryableByName)]
pub struct SeededInstance {
    /// The row's id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The platform's GUID.
    #[diesel(sql_type = Text)]
    pub guid: String,
    /// First part of its backups' ids and folder in the store.
    #[diesel(sql_type = Text)]
    pub backup_guid: String,
    /// The row of its current encryption key, whose ciphertext is no real one.
    #[diesel(sql_type = BigInt)]
    pub encryption_key_id: i64,
}

/// A backup row; [`Database::seed_backup`].
#[derive(Debug, Clone, QueryableByName)]
pub struct SeededBackup {
    /// The row's id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Its name towards agent and store.
    #[diesel(sql_type = Text)]
    pub backup_id: String,
}

impl Database {
    /// Inserts an `available` instance with this GUID of the broker `broker`, which is made when it is not there yet.
    ///
    /// # Errors
    /// When the database refuses, for example because the GUID is taken.
    pub fn seed_instance(&self, broker: &str, guid: &str) -> anyhow::Result<SeededInstance> {
        let sql = "
            WITH broker AS (
                INSERT INTO service_brokers (name) VALUES ($1)
                ON CONFLICT (name) DO UPDATE SET updated_at = now() RETURNING id
            ), instance AS (
                INSERT INTO service_instances (guid, backup_guid, service_broker_id, state, data_service, store, agent_url)
                SELECT $2, gen_random_uuid()::text, broker.id, 'available', 'postgresql', 'local', 'http://127.0.0.1:9'
                FROM broker RETURNING id, guid, backup_guid
            ), key AS (
                INSERT INTO encryption_keys (service_instance_id, ciphertext, master_key_id, is_own)
                SELECT id, '\\x00', 'seed', false FROM instance RETURNING id
            )
            SELECT instance.id, guid, backup_guid, key.id AS encryption_key_id FROM instance, key";
        sql_query(sql)
            .bind::<Text, _>(broker)
            .bind::<Text, _>(guid)
            .get_result(&mut self.connection()?)
            .with_context(|| format!("the instance {guid} cannot be seeded"))
    }

    /// Inserts a backup of the instance in any status, triggered and finished `age_days` ago.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn seed_backup(
        &self,
        instance: &SeededInstance,
        status: &str,
        age_days: i32,
    ) -> anyhow::Result<SeededBackup> {
        use diesel::Connection;
        let mut connection = self.connection()?;
        let sql = "
            INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store, object_prefix,
                                 size, checksum, reason_code, marked_deleted_at, triggered_at, started_at, finished_at)
            SELECT $1, $2 || '-' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $3, false, $4, 'local',
                   'backups/' || $2,
                   CASE WHEN $3 IN ('done', 'deleted') THEN 1000 ELSE 0 END,
                   CASE WHEN $3 IN ('done', 'deleted') THEN repeat('0', 64) END,
                   CASE WHEN $3 = 'failed' THEN 'data_service_error' END,
                   CASE WHEN $3 = 'deleted' THEN moment END,
                   moment,
                   CASE WHEN $3 <> 'queued' THEN moment END,
                   CASE WHEN $3 NOT IN ('queued', 'running') THEN moment END
            FROM (SELECT now() - make_interval(days => $5) AS moment) AS t
            RETURNING id, backup_id";
        connection
            .transaction(|connection| {
                // The row did not get into its status along the arrows, so the database's guards must look away.
                sql_query("SET LOCAL session_replication_role = replica").execute(connection)?;
                sql_query(sql)
                    .bind::<BigInt, _>(instance.id)
                    .bind::<Text, _>(&instance.backup_guid)
                    .bind::<Text, _>(status)
                    .bind::<BigInt, _>(instance.encryption_key_id)
                    .bind::<diesel::sql_types::Integer, _>(age_days)
                    .get_result(connection)
            })
            .map_err(|error: diesel::result::Error| error)
            .with_context(|| format!("a backup of {} cannot be seeded", instance.guid))
    }
}
