//! What the API shows: reads only. Lists are read in pieces of [`ROWS`], so that no list costs more memory than another.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::backup::{Backup, BackupSummary};
use crate::domain::identifiers::{BackupId, RehearsalId, RestoreId, ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::instance::ServiceInstance;
use crate::domain::pitr::{self, Promise};
use crate::domain::rehearsal::Rehearsal;
use crate::domain::restore::Restore;
use crate::domain::scope::Scope;
use crate::manager::Manager;
use crate::store::service_brokers::FailedListing;
use crate::store::{
    self, backups, migrations, rehearsals, restores, row_counts, service_brokers, service_instances, state,
    summaries,
};
use crate::{Error, Result, jobs};

/// Most backups and restores that are read at once.
pub const ROWS: i64 = 500;

/// An instance with all its backups and restores, newest first.
#[derive(Debug, Clone)]
pub struct InstanceDetails {
    /// The instance.
    pub instance: ServiceInstance,
    /// Its backups.
    pub backups: Vec<BackupSummary>,
    /// The restores into it.
    pub restores: Vec<Restore>,
}

/// One instance alone.
pub async fn instance(manager: &Manager, guid: &ServiceInstanceGuid) -> Result<ServiceInstance> {
    let guid = guid.clone();
    manager.database.transaction(move |conn| service_instances::get(conn, &guid)).await
}

/// To which moments the instance can be restored, as its agent last said.
///
/// # Errors
/// [`Error::NoWindow`] when no backup of it has a window.
pub async fn promise(manager: &Manager, guid: &ServiceInstanceGuid) -> Result<Promise> {
    let guid = guid.clone();
    let read = move |conn: &mut diesel::PgConnection| {
        let instance = service_instances::get(conn, &guid)?;
        pitr::promise(&store::pitr::list(conn, instance.id)?).ok_or_else(|| Error::NoWindow(guid.to_string()))
    };
    manager.database.transaction(read).await
}

/// Whether an instance is within a scope: [`Error::InstanceNotFound`] when it is not, or does not exist.
pub async fn check_visible(manager: &Manager, scope: &Scope, guid: &ServiceInstanceGuid) -> Result<()> {
    let (scope, guid) = (scope.clone(), guid.clone());
    manager
        .database
        .transaction(move |conn| service_instances::get_visible(conn, &scope, &guid).map(drop))
        .await
}

/// One instance by its number.
pub async fn instance_by_id(manager: &Manager, id: ServiceInstanceId) -> Result<ServiceInstance> {
    manager.database.transaction(move |conn| service_instances::get_by_id(conn, id)).await
}

/// The next `limit` instances of the scope after `after`, in the order of their numbers; empty at the end.
pub async fn instances_after(
    manager: &Manager,
    scope: &Scope,
    after: ServiceInstanceId,
    limit: i64,
) -> Result<Vec<ServiceInstance>> {
    let scope = scope.clone();
    manager.database.transaction(move |conn| service_instances::list(conn, &scope, after, limit)).await
}

/// One page of the scope's instances and how many instances it has; `page` counts from 0.
pub async fn instances_page(
    manager: &Manager,
    scope: &Scope,
    page: i64,
    per_page: i64,
) -> Result<(Vec<ServiceInstance>, i64)> {
    let scope = scope.clone();
    manager
        .database
        .transaction(move |conn| {
            let instances = service_instances::list_page(conn, &scope, page, per_page)?;
            Ok((instances, service_instances::count(conn, &scope)?))
        })
        .await
}

/// The details of as many of the first `instances` as have [`ROWS`] backups and restores together. None means that the
/// first alone has more: its are read in pages, with [`summaries_before`] and [`restores_before`].
pub async fn first_details(manager: &Manager, instances: &[ServiceInstance]) -> Result<Vec<InstanceDetails>> {
    let mut instances = instances.to_vec();
    manager
        .database
        .transaction(move |conn| {
            let ids: Vec<_> = instances.iter().map(|instance| instance.id).collect();
            let fitting = row_counts::count_fitting(conn, &ids, ROWS)?;
            instances.truncate(fitting);
            with_details(conn, instances)
        })
        .await
}

fn with_details(
    conn: &mut diesel::PgConnection,
    instances: Vec<ServiceInstance>,
) -> Result<Vec<InstanceDetails>> {
    let ids: Vec<_> = instances.iter().map(|instance| instance.id).collect();
    let places: HashMap<_, _> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut details: Vec<_> = instances
        .into_iter()
        .map(|instance| InstanceDetails { instance, backups: Vec::new(), restores: Vec::new() })
        .collect();
    for backup in summaries::list(conn, &ids)? {
        if let Some(entry) = places.get(&backup.instance).and_then(|place| details.get_mut(*place)) {
            entry.backups.push(backup);
        }
    }
    for restore in restores::list(conn, &ids)? {
        if let Some(entry) = places.get(&restore.instance).and_then(|place| details.get_mut(*place)) {
            entry.restores.push(restore);
        }
    }
    Ok(details)
}

/// The next [`ROWS`] backups of an instance, newest first; those older than `before`.
pub async fn backups_before(
    manager: &Manager,
    instance: ServiceInstanceId,
    before: Option<BackupId>,
) -> Result<Vec<Backup>> {
    manager.database.transaction(move |conn| backups::list_before(conn, instance, before, ROWS)).await
}

/// As [`backups_before`], with what instance objects show of them.
pub async fn summaries_before(
    manager: &Manager,
    instance: ServiceInstanceId,
    before: Option<BackupId>,
) -> Result<Vec<BackupSummary>> {
    manager.database.transaction(move |conn| summaries::list_before(conn, instance, before, ROWS)).await
}

/// The next [`ROWS`] restores into an instance, newest first; those older than `before`.
pub async fn restores_before(
    manager: &Manager,
    instance: ServiceInstanceId,
    before: Option<RestoreId>,
) -> Result<Vec<Restore>> {
    manager.database.transaction(move |conn| restores::list_before(conn, instance, before, ROWS)).await
}

/// One backup of an instance.
pub async fn backup(manager: &Manager, guid: &ServiceInstanceGuid, id: BackupId) -> Result<Backup> {
    let guid = guid.clone();
    manager
        .database
        .transaction(move |conn| {
            if let Some(backup) = backups::find_by_guid(conn, &guid, id)? {
                return Ok(backup);
            }
            // Only now it matters which of the two is missing.
            service_instances::get(conn, &guid)?;
            Err(Error::BackupNotFound(id))
        })
        .await
}

/// One restore into an instance.
pub async fn restore(manager: &Manager, guid: &ServiceInstanceGuid, id: RestoreId) -> Result<Restore> {
    let guid = guid.clone();
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get(conn, &guid)?;
            restores::find(conn, instance.id, id)?.ok_or(Error::RestoreNotFound(id))
        })
        .await
}

/// Rehearsals of an instance's backups, newest first; at most [`ROWS`] of those older than `before`.
pub async fn rehearsals_before(
    manager: &Manager,
    instance: ServiceInstanceId,
    before: Option<RehearsalId>,
) -> Result<Vec<Rehearsal>> {
    manager.database.transaction(move |conn| rehearsals::list_before(conn, instance, before, ROWS)).await
}

/// One rehearsal of an instance's backup.
pub async fn rehearsal(manager: &Manager, guid: &ServiceInstanceGuid, id: RehearsalId) -> Result<Rehearsal> {
    let guid = guid.clone();
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get(conn, &guid)?;
            rehearsals::find(conn, instance.id, id)?.ok_or(Error::RehearsalNotFound(id))
        })
        .await
}

/// What keeps the system from working as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The database does not answer, or not in time.
    DatabaseUnreachable,
    /// The database is a standby, or is being recovered.
    DatabaseInRecovery,
    /// The database takes no writes.
    DatabaseReadOnly,
    /// The schema lacks migrations of this program.
    MigrationsPending,
    /// Queues that no live worker serves. Requests are still taken.
    QueuesUnserved(Vec<String>),
}

impl Problem {
    /// Whether requests cannot be served, rather than their jobs.
    pub fn concerns_requests(&self) -> bool {
        !matches!(self, Self::QueuesUnserved(_))
    }
}

/// How the system is.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Brokers whose last listing failed: name, last complete listing, error. A warning, not an outage.
    pub broker_errors: Vec<FailedListing>,
}

impl Health {
    fn of(problem: Problem) -> Self {
        Self { problems: vec![problem], broker_errors: Vec::new() }
    }
}

/// How long the database may take to tell how it is.
const CHECK_PATIENCE: Duration = Duration::from_secs(2);

/// Asks the database, on the connection that is kept for this; answers within two seconds, whatever the database does.
pub async fn health(manager: &Manager) -> Health {
    let database = manager.database.for_checks();
    let error = match tokio::time::timeout(CHECK_PATIENCE, database.transaction(look)).await {
        Ok(Ok(health)) => return health,
        Ok(Err(error)) => error.chain(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    tracing::warn!(error, "the database could not be asked how it is");
    Health::of(Problem::DatabaseUnreachable)
}

fn look(conn: &mut diesel::PgConnection) -> Result<Health> {
    // A database without writes cannot even be asked for its migrations by the library.
    match state::look(conn)? {
        state::State::InRecovery => return Ok(Health::of(Problem::DatabaseInRecovery)),
        state::State::ReadOnly => return Ok(Health::of(Problem::DatabaseReadOnly)),
        state::State::Writable => {}
    }
    if migrations::are_pending(conn)? {
        return Ok(Health::of(Problem::MigrationsPending));
    }
    let broker_errors = service_brokers::list_failed(conn)?;
    let unserved = backup_queue::overview::unserved(conn, &jobs::QUEUES)?;
    let problems = if unserved.is_empty() { Vec::new() } else { vec![Problem::QueuesUnserved(unserved)] };
    Ok(Health { problems, broker_errors })
}
