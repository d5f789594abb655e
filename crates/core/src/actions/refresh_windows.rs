//! Learns from the agents to which moments their data services can be restored, and remembers it: who asks the API gets
//! what was known last, whether the agent answers now or not.

use backup_queue::{ClaimedJob, Outcome};

use super::agent_endpoint::agent_of;
use crate::domain::identifiers::ServiceInstanceGuid;
use crate::manager::Manager;
use crate::store::{pitr, service_instances};
use crate::{Error, Result, jobs};

/// Fans one job out to every live instance whose backups have a type with windows.
pub async fn refresh_all(manager: &Manager, job: &ClaimedJob) -> Result<Outcome> {
    let lease = job.lease.clone();
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let instances = pitr::list_instances(conn)?;
            let jobs: Vec<_> =
                instances.iter().map(|guid| jobs::refresh_windows(Some(guid.as_str()))).collect();
            backup_queue::enqueue_many(conn, &jobs)?;
            Ok(())
        })
        .await?;
    Ok(Outcome::Done)
}

/// Asks the agent of one instance.
///
/// # Errors
/// When the agent cannot be asked; what was known stays.
pub async fn refresh_windows(manager: &Manager, job: &ClaimedJob, guid: &str) -> Result<Outcome> {
    let Some(guid) = ServiceInstanceGuid::parse(guid) else {
        return Err(Error::Internal(format!("{guid} is no GUID of an instance")));
    };
    let instance = manager.database.transaction(move |conn| service_instances::get(conn, &guid)).await?;
    if instance.deleted_at.is_some() {
        return Ok(Outcome::Done);
    }
    let agent = agent_of(&manager.settings(), &instance)?;
    let Some(report) = agent.client.windows(&agent.endpoint).await? else {
        tracing::warn!(service_instance.guid = %instance.guid, "the backup agent archives no log");
        return Ok(Outcome::Done);
    };
    if let Some(trouble) = &report.trouble {
        tracing::warn!(service_instance.guid = %instance.guid, trouble, "the backup agent cannot archive the log");
    }
    let (lease, id) = (job.lease.clone(), instance.id);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            pitr::upsert(conn, id, &report.windows)
        })
        .await?;
    Ok(Outcome::Done)
}
