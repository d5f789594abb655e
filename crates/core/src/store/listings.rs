//! A broker's listing meets the table of service instances.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};

use crate::domain::identifiers::{ServiceBrokerId, ServiceInstanceGuid, ServiceInstanceId};
use crate::{Error, Result};

/// What a broker's listing says of one instance, completed by the broker's configuration.
#[derive(Debug, Clone)]
pub struct ListedInstance {
    /// The platform's name.
    pub guid: ServiceInstanceGuid,
    /// Used when the instance is new.
    pub backup_guid: String,
    /// The broker's number.
    pub broker_resource_id: Option<i64>,
    /// The broker's word.
    pub state: String,
    /// See [`ServiceInstance`](crate::domain::instance::ServiceInstance).
    pub deployment_name: Option<String>,
    /// See [`ServiceInstance`](crate::domain::instance::ServiceInstance).
    pub plan_guid: Option<String>,
    /// See [`ServiceInstance`](crate::domain::instance::ServiceInstance).
    pub service_guid: Option<String>,
    /// See [`ServiceInstance`](crate::domain::instance::ServiceInstance).
    pub organization_guid: Option<String>,
    /// See [`ServiceInstance`](crate::domain::instance::ServiceInstance).
    pub space_guid: Option<String>,
    /// The broker's tenant.
    pub tenant_id: Option<String>,
    /// Kind of data service.
    pub data_service: String,
    /// Name of the store.
    pub store: String,
    /// Where the agent listens.
    pub agent_url: Option<String>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// An instance that a listing changed.
#[derive(Debug, Clone)]
pub struct ChangedInstance {
    /// Its number.
    pub id: ServiceInstanceId,
    /// Its name.
    pub guid: ServiceInstanceGuid,
    /// The listing says that it is deleted, and it was not before.
    pub was_deleted_now: bool,
}

/// Inserts new instances and updates changed ones, in one statement; unchanged rows are not written. A GUID that
/// another broker provisioned is left alone. Returns the rows that were written.
pub fn upsert(
    conn: &mut PgConnection,
    broker: ServiceBrokerId,
    listed: &[ListedInstance],
) -> Result<Vec<ChangedInstance>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Text)]
        guid: String,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        deleted_at: Option<DateTime<Utc>>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        was_deleted_at: Option<DateTime<Utc>>,
    }
    fn texts<'a>(
        listed: &'a [ListedInstance],
        of: fn(&'a ListedInstance) -> Option<&'a str>,
    ) -> Vec<Option<&'a str>> {
        listed.iter().map(of).collect()
    }
    let rows: Vec<Row> = diesel::sql_query(include_str!("upsert_instances.sql"))
        .bind::<BigInt, _>(broker.0)
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| Some(i.guid.as_str())))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| Some(&i.backup_guid)))
        .bind::<Array<Nullable<BigInt>>, _>(listed.iter().map(|i| i.broker_resource_id).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| Some(&i.state)))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| i.deployment_name.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| i.plan_guid.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| i.service_guid.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| i.organization_guid.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| i.space_guid.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| i.tenant_id.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| Some(&i.data_service)))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| Some(&i.store)))
        .bind::<Array<Nullable<Text>>, _>(texts(listed, |i| i.agent_url.as_deref()))
        .bind::<Array<Nullable<Timestamptz>>, _>(listed.iter().map(|i| i.deleted_at).collect::<Vec<_>>())
        .load(conn)?;
    rows.into_iter()
        .map(|row| {
            let guid = ServiceInstanceGuid::parse(&row.guid)
                .ok_or_else(|| Error::Internal(format!("instance {} has an illegal GUID", row.id)))?;
            Ok(ChangedInstance {
                id: ServiceInstanceId(row.id),
                guid,
                was_deleted_now: row.deleted_at.is_some() && row.was_deleted_at.is_none(),
            })
        })
        .collect()
}
