//! The service instances: what brokers say of them, and what their owners configured.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::now;
use diesel::prelude::*;

use super::schema::{service_brokers, service_instances};
use crate::domain::identifiers::{ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::instance::{InstanceChanges, ServiceInstance};
use crate::domain::scope::Scope;
use crate::{Error, Result};

#[derive(Queryable, Selectable)]
#[diesel(table_name = service_instances, check_for_backend(diesel::pg::Pg))]
struct InstanceRow {
    id: i64,
    guid: String,
    backup_guid: String,
    state: String,
    deployment_name: Option<String>,
    plan_guid: Option<String>,
    service_guid: Option<String>,
    organization_guid: Option<String>,
    space_guid: Option<String>,
    data_service: String,
    store: String,
    agent_url: Option<String>,
    min_backup_count: Option<i32>,
    retention_days: Option<i32>,
    min_encryption_key_length: Option<i32>,
    exclude_from_auto_backup: bool,
    backup_type: Option<String>,
    credentials_updated_by_user: bool,
    last_done_at: Option<DateTime<Utc>>,
    last_skip_reason: Option<String>,
    deleted_at: Option<DateTime<Utc>>,
}

fn into_domain((row, service_broker): (InstanceRow, String)) -> Result<ServiceInstance> {
    let guid = ServiceInstanceGuid::parse(&row.guid)
        .ok_or_else(|| Error::Internal(format!("instance {} has an illegal GUID", row.id)))?;
    Ok(ServiceInstance {
        id: ServiceInstanceId(row.id),
        guid,
        backup_guid: row.backup_guid,
        service_broker,
        state: row.state,
        deployment_name: row.deployment_name,
        plan_guid: row.plan_guid,
        service_guid: row.service_guid,
        organization_guid: row.organization_guid,
        space_guid: row.space_guid,
        data_service: row.data_service,
        store: row.store,
        agent_url: row.agent_url,
        min_backup_count: row.min_backup_count,
        retention_days: row.retention_days,
        min_encryption_key_length: row.min_encryption_key_length,
        exclude_from_auto_backup: row.exclude_from_auto_backup,
        backup_type: row.backup_type,
        credentials_updated_by_user: row.credentials_updated_by_user,
        last_done_at: row.last_done_at,
        last_skip_reason: row.last_skip_reason,
        deleted_at: row.deleted_at,
    })
}

macro_rules! select_instances {
    () => {
        service_instances::table
            .inner_join(service_brokers::table)
            .select((InstanceRow::as_select(), service_brokers::name))
    };
}

/// Narrows a boxed query of instances to a scope: the one place that says which instances are in it.
macro_rules! within {
    ($scope:expr, $query:expr) => {
        match $scope.limits() {
            None => $query,
            Some(limits) => $query.filter(
                service_instances::guid
                    .eq_any(&limits.instances)
                    .or(service_instances::organization_guid.eq_any(&limits.organizations))
                    .or(service_instances::space_guid.eq_any(&limits.spaces)),
            ),
        }
    };
}

/// The instance of this GUID.
pub fn get(conn: &mut PgConnection, guid: &ServiceInstanceGuid) -> Result<ServiceInstance> {
    select_instances!()
        .filter(service_instances::guid.eq(guid.as_str()))
        .first::<(InstanceRow, String)>(conn)
        .optional()?
        .map(into_domain)
        .transpose()?
        .ok_or_else(|| Error::InstanceNotFound(guid.to_string()))
}

/// The instance of this GUID, if it is within the scope; outside it is as unknown as one that does not exist.
pub fn get_visible(
    conn: &mut PgConnection,
    scope: &Scope,
    guid: &ServiceInstanceGuid,
) -> Result<ServiceInstance> {
    within!(scope, select_instances!().filter(service_instances::guid.eq(guid.as_str())).into_boxed())
        .first::<(InstanceRow, String)>(conn)
        .optional()?
        .map(into_domain)
        .transpose()?
        .ok_or_else(|| Error::InstanceNotFound(guid.to_string()))
}

/// The instance of this number, if it is within the scope; outside it is as unknown as one that does not exist.
pub fn get_visible_by_id(
    conn: &mut PgConnection,
    scope: &Scope,
    id: ServiceInstanceId,
) -> Result<ServiceInstance> {
    within!(scope, select_instances!().filter(service_instances::id.eq(id.0)).into_boxed())
        .first::<(InstanceRow, String)>(conn)
        .optional()?
        .map(into_domain)
        .transpose()?
        .ok_or_else(|| Error::InstanceNotFound(id.to_string()))
}

/// The instance of this number.
pub fn get_by_id(conn: &mut PgConnection, id: ServiceInstanceId) -> Result<ServiceInstance> {
    select_instances!()
        .filter(service_instances::id.eq(id.0))
        .first::<(InstanceRow, String)>(conn)
        .optional()?
        .map(into_domain)
        .transpose()?
        .ok_or_else(|| Error::InstanceNotFound(id.to_string()))
}

/// A select of instances as rows for [`into_locked`], locked until the end of the transaction. The broker's name is a
/// query inside, because a join would lock its row, too. Not FOR UPDATE: rows that refer to the instance can be
/// inserted meanwhile.
macro_rules! lock_instances {
    () => {
        service_instances::table
            .select((
                InstanceRow::as_select(),
                service_brokers::table
                    .filter(service_brokers::id.eq(service_instances::service_broker_id))
                    .select(service_brokers::name)
                    .single_value(),
            ))
            .for_no_key_update()
    };
}

fn into_locked((row, service_broker): (InstanceRow, Option<String>)) -> Result<ServiceInstance> {
    // A foreign key sees to it that there is a broker.
    into_domain((row, service_broker.unwrap_or_default()))
}

/// Locks the instance until the end of the transaction: requests, marks and synchronisation of one instance come
/// one after the other.
pub fn lock(conn: &mut PgConnection, id: ServiceInstanceId) -> Result<ServiceInstance> {
    lock_instances!()
        .filter(service_instances::id.eq(id.0))
        .first(conn)
        .optional()?
        .map(into_locked)
        .transpose()?
        .ok_or_else(|| Error::InstanceNotFound(id.to_string()))
}

/// Locks the instance of this GUID, as [`lock`] does, if it is within the scope.
pub fn lock_visible(
    conn: &mut PgConnection,
    scope: &Scope,
    guid: &ServiceInstanceGuid,
) -> Result<ServiceInstance> {
    // An operator's request, which sees everything, is spared a statement.
    if scope.limits().is_some() {
        get_visible(conn, scope, guid)?;
    }
    lock_instances!()
        .filter(service_instances::guid.eq(guid.as_str()))
        .first(conn)
        .optional()?
        .map(into_locked)
        .transpose()?
        .ok_or_else(|| Error::InstanceNotFound(guid.to_string()))
}

/// Instances of the scope in the order of their numbers, at most `limit`, those after `after`.
pub fn list(
    conn: &mut PgConnection,
    scope: &Scope,
    after: ServiceInstanceId,
    limit: i64,
) -> Result<Vec<ServiceInstance>> {
    within!(scope, select_instances!().filter(service_instances::id.gt(after.0)).into_boxed())
        .order(service_instances::id)
        .limit(limit)
        .load::<(InstanceRow, String)>(conn)?
        .into_iter()
        .map(into_domain)
        .collect()
}

/// One page of the scope's instances in the order of their numbers; `page` counts from 0.
pub fn list_page(
    conn: &mut PgConnection,
    scope: &Scope,
    page: i64,
    per_page: i64,
) -> Result<Vec<ServiceInstance>> {
    within!(scope, select_instances!().into_boxed())
        .order(service_instances::id)
        .limit(per_page)
        .offset(page.saturating_mul(per_page))
        .load::<(InstanceRow, String)>(conn)?
        .into_iter()
        .map(into_domain)
        .collect()
}

/// How many instances the scope has, deleted ones included.
pub fn count(conn: &mut PgConnection, scope: &Scope) -> Result<i64> {
    Ok(within!(scope, service_instances::table.count().into_boxed()).get_result(conn)?)
}

/// A good backup of the instance exists now; an earlier skip is history.
pub fn update_last_done(conn: &mut PgConnection, id: ServiceInstanceId) -> Result<()> {
    diesel::update(service_instances::table.find(id.0))
        .set((
            service_instances::last_done_at.eq(now),
            service_instances::last_skip_reason.eq(None::<String>),
            service_instances::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Applies an owner's changes, the encryption key excepted; bounds were checked by the action.
pub fn update_configuration(
    conn: &mut PgConnection,
    id: ServiceInstanceId,
    changes: &InstanceChanges,
) -> Result<()> {
    #[derive(AsChangeset)]
    #[diesel(table_name = service_instances)]
    struct Row {
        exclude_from_auto_backup: Option<bool>,
        credentials_updated_by_user: Option<bool>,
        min_backup_count: Option<i32>,
        retention_days: Option<i32>,
        backup_type: Option<Option<String>>,
        updated_at: DateTime<Utc>,
    }
    let narrow = |value: Option<i64>| value.map(|value| i32::try_from(value).unwrap_or(i32::MAX));
    let row = Row {
        exclude_from_auto_backup: changes.exclude_from_auto_backup,
        credentials_updated_by_user: changes.credentials_updated_by_user,
        min_backup_count: narrow(changes.min_backup_count),
        retention_days: narrow(changes.retention_days),
        backup_type: changes.backup_type.clone(),
        updated_at: super::now(conn)?,
    };
    diesel::update(service_instances::table.find(id.0)).set(row).execute(conn)?;
    Ok(())
}
