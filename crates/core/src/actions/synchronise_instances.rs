//! The `update_instance_state_job`: learns new, changed and deleted instances from the brokers. A listing that is not
//! complete changes nothing, and one broker's trouble is not another's: each broker has a job of its own.

use backup_queue::{ClaimedJob, Outcome};
use diesel::PgConnection;

use crate::clients::broker::{BrokerError, BrokerInstance, agent_url, parse_inventory};
use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::identifiers::ServiceInstanceGuid;
use crate::jobs::{self, DeletionStep};
use crate::manager::{Broker, BrokerSource, Manager, Settings};
use crate::store::listings::{self, ChangedInstance, ListedInstance};
use crate::store::service_brokers::BrokerRecord;
use crate::store::{self, audit_events, encryption_keys, operations, service_brokers};
use crate::{Error, Result};

/// Instances per statement: a synchronisation sends as many statements for a thousand of them as for one
/// (`a_synchronisation_sends_no_more_statements_for_many_instances_than_for_one`).
const CHUNK: usize = 1000;

/// Enqueues one job per configured broker.
pub async fn synchronise_all(manager: &Manager, job: &ClaimedJob) -> Result<Outcome> {
    let (settings, lease) = (manager.settings(), job.lease.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let brokers: Vec<_> = settings
                .brokers
                .iter()
                .map(|broker| jobs::update_instance_state(Some(&broker.name)))
                .collect();
            backup_queue::enqueue_many(conn, &brokers)?;
            Ok(Outcome::Done)
        })
        .await
}

/// Asks all brokers, one after the other. One that cannot be asked is remembered as such, and holds up no other.
pub async fn synchronise_now(manager: &Manager, job: &ClaimedJob) -> Result<()> {
    for broker in manager.brokers() {
        match synchronise_broker(manager, job, &broker.name).await {
            Err(error @ (Error::LeaseLost | Error::DatabaseUnavailable(_))) => return Err(error),
            Err(error) => {
                tracing::warn!(service_broker = broker.name, "could not be asked: {}", error.chain());
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Asks one broker, and records what it says in one transaction; on failure only the failure is recorded.
pub async fn synchronise_broker(manager: &Manager, job: &ClaimedJob, name: &str) -> Result<Outcome> {
    let broker = match manager.broker(name) {
        Ok(broker) => broker.clone(),
        Err(error) => return Ok(Outcome::Discard(error.to_string())),
    };
    let listed = list(&broker).await;
    let applied = match listed {
        Ok(instances) => record(manager, job, &broker, instances).await,
        Err(error) => Err(error),
    };
    match applied {
        Ok(changed) => {
            tracing::info!(service_broker = name, changed, "synchronised the instances of a broker");
            Ok(Outcome::Done)
        }
        Err(error @ (Error::LeaseLost | Error::DatabaseUnavailable(_))) => Err(error),
        Err(error) => {
            let (lease, text) = (job.lease.clone(), error.chain());
            manager
                .database
                .transaction(move |conn| {
                    lease.confirm(conn)?;
                    let record = service_brokers::lock(conn, &broker.name)?;
                    service_brokers::update_outcome(conn, record.id, Some(&text))
                })
                .await?;
            Err(error)
        }
    }
}

/// Records a complete listing; returns how many instances it changed.
async fn record(
    manager: &Manager,
    job: &ClaimedJob,
    broker: &Broker,
    instances: Vec<BrokerInstance>,
) -> Result<usize> {
    let (settings, lease, broker) = (manager.settings(), job.lease.clone(), broker.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let record = service_brokers::lock(conn, &broker.name)?;
            let changed = apply(conn, &settings, &broker, &record, &instances)?;
            service_brokers::update_outcome(conn, record.id, None)?;
            Ok(changed)
        })
        .await
}

async fn list(broker: &Broker) -> Result<Vec<BrokerInstance>> {
    match &broker.source {
        BrokerSource::Http(client) => Ok(client.list_instances().await?),
        BrokerSource::StaticInventory(path) => {
            let invalid = |detail: String| Error::Invalid {
                field: "static_inventory",
                found: path.display().to_string(),
                allowed: format!("a readable inventory ({detail})"),
            };
            let text = tokio::fs::read_to_string(path).await.map_err(|error| invalid(error.to_string()))?;
            parse_inventory(&text).map_err(|error| invalid(error.to_string()))
        }
    }
}

fn apply(
    conn: &mut PgConnection,
    settings: &Settings,
    broker: &Broker,
    record: &BrokerRecord,
    instances: &[BrokerInstance],
) -> Result<usize> {
    let now = store::now(conn)?;
    let mut changed = Vec::new();
    for chunk in instances.chunks(CHUNK) {
        let mut listed = Vec::with_capacity(chunk.len());
        for instance in chunk {
            let mut entry = listed_instance(broker, instance)?;
            if instance.deleted {
                // A broker's clock, or its lie, must not make a deletion older than our last sight of the instance:
                // retention counts from it.
                let earliest = record.last_synchronised_at.unwrap_or(now);
                entry.deleted_at = Some(instance.deleted_at.unwrap_or(now).clamp(earliest.min(now), now));
            }
            listed.push(entry);
        }
        changed.extend(listings::upsert(conn, record.id, &listed)?);
    }
    // Not before: instances are locked before jobs.
    for chunk in changed.chunks(CHUNK) {
        follow_up(conn, settings, broker, chunk)?;
    }
    Ok(changed.len())
}

/// New instances get their keys; the backups of those deleted just now are dealt with.
fn follow_up(
    conn: &mut PgConnection,
    settings: &Settings,
    broker: &Broker,
    changed: &[ChangedInstance],
) -> Result<()> {
    let (deleted, live): (Vec<_>, Vec<_>) = changed.iter().partition(|instance| instance.was_deleted_now);
    let live: Vec<_> = live.iter().map(|instance| instance.id).collect();
    let keyless = encryption_keys::list_owners_without(conn, &live)?;
    encryption_keys::insert_generated(conn, &settings.key_ring, &keyless)?;
    let subject = format!("the service broker {} says that it is deleted", broker.name);
    let events: Vec<_> = deleted.iter().map(|instance| (&instance.guid, subject.clone())).collect();
    audit_events::insert_many(conn, &Actor::worker(), AuditAction::DeleteInstance, &events)?;
    let marking = |instance: &&ChangedInstance| {
        // A key of its own: a deleter that runs at this moment may have looked already.
        jobs::delete_backups(instance.id, DeletionStep::Mark)
            .unique_key(format!("mark-deleted-instance-{}", instance.id))
    };
    backup_queue::enqueue_many(conn, &deleted.iter().map(marking).collect::<Vec<_>>())?;
    // What is queued need not wait for its turn to learn that it will not come.
    let ids: Vec<_> = deleted.iter().map(|instance| instance.id).collect();
    for (kind, id) in operations::list_next_queued(conn, &ids)? {
        backup_queue::run_now(conn, &jobs::start_key(kind, id))?;
    }
    Ok(())
}

fn listed_instance(broker: &Broker, instance: &BrokerInstance) -> Result<ListedInstance> {
    let guid = ServiceInstanceGuid::parse(&instance.guid).ok_or_else(|| {
        Error::Broker(BrokerError::BadInstance {
            detail: format!("{:?} is not a usable GUID", instance.guid),
        })
    })?;
    let address = agent_url(broker.agent_url_template.as_deref(), instance);
    if let Err(error) = &address
        && !instance.deleted
    {
        tracing::warn!(service_instance.guid = %guid, "the address of the backup agent is unknown: {error}");
    }
    Ok(ListedInstance {
        backup_guid: uuid::Uuid::new_v4().to_string(),
        broker_resource_id: instance.broker_resource_id,
        state: instance.state.clone(),
        deployment_name: instance.deployment_name.clone(),
        plan_guid: instance.plan_guid.clone(),
        service_guid: instance.service_guid.clone(),
        organization_guid: instance.organization_guid.clone(),
        space_guid: instance.space_guid.clone(),
        tenant_id: instance.tenant_id.clone(),
        data_service: instance.data_service.clone().unwrap_or_else(|| broker.data_service.clone()),
        store: broker.store.clone(),
        agent_url: address.ok().map(|url| url.to_string()),
        deleted_at: None,
        guid,
    })
}
