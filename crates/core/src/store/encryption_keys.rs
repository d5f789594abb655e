//! The encrypted backup encryption keys of instances; the plain key exists only in memory, on its way to an agent.

use std::collections::HashMap;

use diesel::PgConnection;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use secrecy::SecretString;

use super::schema::{encryption_keys, service_instances};
use crate::domain::cipher::{KeyRing, generate_instance_key};
use crate::domain::identifiers::{EncryptionKeyId, ServiceInstanceGuid, ServiceInstanceId};
use crate::{Error, Result};

/// Makes `key` the instance's current key; earlier ones stay, for the backups made with them.
pub fn insert_current(
    conn: &mut PgConnection,
    key_ring: &KeyRing,
    instance: ServiceInstanceId,
    guid: &ServiceInstanceGuid,
    key: &SecretString,
    is_own: bool,
) -> Result<EncryptionKeyId> {
    let (master_key_id, ciphertext) = key_ring.encrypt(key, guid.as_str().as_bytes())?;
    diesel::update(encryption_keys::table)
        .filter(encryption_keys::service_instance_id.eq(instance.0).and(encryption_keys::is_current))
        .set(encryption_keys::is_current.eq(false))
        .execute(conn)?;
    let id = diesel::insert_into(encryption_keys::table)
        .values((
            encryption_keys::service_instance_id.eq(instance.0),
            encryption_keys::ciphertext.eq(ciphertext),
            encryption_keys::master_key_id.eq(master_key_id),
            encryption_keys::is_own.eq(is_own),
        ))
        .returning(encryption_keys::id)
        .get_result(conn)?;
    Ok(EncryptionKeyId(id))
}

/// An instance that a key is made for.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Its number.
    pub id: ServiceInstanceId,
    /// Its name, to which the key is bound.
    pub guid: ServiceInstanceGuid,
}

/// Those of the instances that have no current key.
pub fn list_owners_without(conn: &mut PgConnection, instances: &[ServiceInstanceId]) -> Result<Vec<Owner>> {
    let current = encryption_keys::table.filter(
        encryption_keys::service_instance_id.eq(service_instances::id).and(encryption_keys::is_current),
    );
    let rows: Vec<(i64, String)> = service_instances::table
        .filter(service_instances::id.eq_any(instances.iter().map(|id| id.0).collect::<Vec<_>>()))
        .filter(not(exists(current)))
        .order(service_instances::id)
        .select((service_instances::id, service_instances::guid))
        .load(conn)?;
    let into_domain = |(id, guid): (i64, String)| {
        let guid = ServiceInstanceGuid::parse(&guid)
            .ok_or_else(|| Error::Internal(format!("instance {id} has an illegal GUID")))?;
        Ok(Owner { id: ServiceInstanceId(id), guid })
    };
    rows.into_iter().map(into_domain).collect()
}

/// Generates a current key for each of these instances that has none, in one statement; returns those that were made.
pub fn insert_generated(
    conn: &mut PgConnection,
    key_ring: &KeyRing,
    owners: &[Owner],
) -> Result<HashMap<ServiceInstanceId, EncryptionKeyId>> {
    #[derive(QueryableByName)]
    struct Inserted {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = BigInt)]
        service_instance_id: i64,
    }
    if owners.is_empty() {
        return Ok(HashMap::new());
    }
    let (mut ids, mut masters, mut ciphertexts) = (Vec::new(), Vec::new(), Vec::new());
    for owner in owners {
        let (master, ciphertext) =
            key_ring.encrypt(&generate_instance_key(), owner.guid.as_str().as_bytes())?;
        ids.push(owner.id.0);
        masters.push(master);
        ciphertexts.push(ciphertext);
    }
    let inserted: Vec<Inserted> = diesel::sql_query(
        "INSERT INTO encryption_keys (is_own, service_instance_id, master_key_id, ciphertext)
         SELECT false, new.* FROM unnest($1, $2, $3) AS new
         ON CONFLICT (service_instance_id) WHERE is_current DO NOTHING RETURNING id, service_instance_id",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Text>, _>(masters)
    .bind::<Array<Binary>, _>(ciphertexts)
    .load(conn)?;
    let pair = |row: Inserted| (ServiceInstanceId(row.service_instance_id), EncryptionKeyId(row.id));
    Ok(inserted.into_iter().map(pair).collect())
}

/// The current key of an instance; none before its first sight was completed.
pub fn find_current(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<Option<EncryptionKeyId>> {
    Ok(encryption_keys::table
        .filter(encryption_keys::service_instance_id.eq(instance.0).and(encryption_keys::is_current))
        .select(encryption_keys::id)
        .first(conn)
        .optional()?
        .map(EncryptionKeyId))
}

/// The owner's own current key in the clear; none when the current key was generated.
pub fn find_current_own(
    conn: &mut PgConnection,
    key_ring: &KeyRing,
    instance: ServiceInstanceId,
    guid: &ServiceInstanceGuid,
) -> Result<Option<SecretString>> {
    let id: Option<i64> = encryption_keys::table
        .filter(encryption_keys::service_instance_id.eq(instance.0))
        .filter(encryption_keys::is_current.and(encryption_keys::is_own))
        .select(encryption_keys::id)
        .first(conn)
        .optional()?;
    id.map(|id| get(conn, key_ring, EncryptionKeyId(id), guid)).transpose()
}

/// Whether the owner set this key.
pub fn is_own(conn: &mut PgConnection, id: EncryptionKeyId) -> Result<bool> {
    Ok(encryption_keys::table.find(id.0).select(encryption_keys::is_own).first(conn)?)
}

/// Decrypts a key; `guid` is the instance it was made for.
pub fn get(
    conn: &mut PgConnection,
    key_ring: &KeyRing,
    id: EncryptionKeyId,
    guid: &ServiceInstanceGuid,
) -> Result<SecretString> {
    let (master_key_id, ciphertext) = encryption_keys::table
        .find(id.0)
        .select((encryption_keys::master_key_id, encryption_keys::ciphertext))
        .first::<(String, Vec<u8>)>(conn)
        .optional()?
        .ok_or_else(|| Error::Internal(format!("the encryption key {id} is missing")))?;
    Ok(key_ring.decrypt(&master_key_id, &ciphertext, guid.as_str().as_bytes())?)
}
