//! The `backup_deleter_job`: marks or removes the backups of one instance, exactly as the gate of deletions says at that
//! moment, and cleans up what failed backups left in the store.

use backup_queue::{ClaimedJob, Outcome};
use chrono::{DateTime, Utc};

use super::agent_endpoint::confirm_stopped;
use super::deletion::{carry_out, gate, mark_all, note_removal_error};
use crate::domain::actor::Actor;
use crate::domain::backup::Backup;
use crate::domain::deletion::{Cause, Permit, Step};
use crate::domain::identifiers::{ServiceInstanceGuid, ServiceInstanceId};
use crate::jobs::DeletionStep;
use crate::manager::Manager;
use crate::store::{self, backups, deletions, service_instances};
use crate::{Error, Result};

/// An agent that cannot be asked whether it has stopped gets this long before its remains are removed all the same.
const PATIENCE_WITH_AGENT: chrono::Duration = chrono::Duration::hours(24);

/// Does one step for one instance. A backup whose removal fails stays visible with the reason and holds up no other;
/// the error returned at the end makes the job run again.
pub async fn delete_backups(
    manager: &Manager,
    job: &ClaimedJob,
    instance: ServiceInstanceId,
    step: DeletionStep,
) -> Result<Outcome> {
    match step {
        DeletionStep::Mark => mark(manager, job, instance).await?,
        DeletionStep::Remove => remove(manager, job, instance).await?,
    }
    Ok(Outcome::Done)
}

async fn mark(manager: &Manager, job: &ClaimedJob, instance: ServiceInstanceId) -> Result<()> {
    let (settings, lease) = (manager.settings(), job.lease.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let instance = service_instances::lock(conn, instance)?;
            let gate = gate(conn, &settings.policy, &instance)?;
            let permits = gate.ask_all(Cause::Retention).flatten();
            let permits: Vec<_> = permits.filter(|permit| permit.step() == Step::Mark).collect();
            match permits.is_empty() {
                true => Ok(()),
                false => mark_all(conn, &instance.guid, &permits),
            }
        })
        .await
}

async fn remove(manager: &Manager, job: &ClaimedJob, instance: ServiceInstanceId) -> Result<()> {
    let (guid, removals, now) = begin_removals(manager, job, instance).await?;
    let mut first_error = None;
    for (backup, permit) in removals {
        match remove_one(manager, job, &guid, &backup, permit, now).await {
            Ok(()) => {}
            Err(Error::LeaseLost) => return Err(Error::LeaseLost),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// What is to be removed of one instance, each with the gate's permit; and the time of the decision.
type Removals = (ServiceInstanceGuid, Vec<(Backup, Permit)>, DateTime<Utc>);

/// From here on none of them can be undeleted or held.
async fn begin_removals(
    manager: &Manager,
    job: &ClaimedJob,
    instance: ServiceInstanceId,
) -> Result<Removals> {
    let (settings, lease) = (manager.settings(), job.lease.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let instance = service_instances::lock(conn, instance)?;
            let gate = gate(conn, &settings.policy, &instance)?;
            let permits = gate.ask_all(Cause::Retention).chain(gate.ask_all(Cause::Remains)).flatten();
            let mut removals = Vec::new();
            for permit in permits.filter(|permit| permit.step() != Step::Mark) {
                let backup = backups::get(conn, permit.backup())?;
                if deletions::begin(conn, &permit)? {
                    removals.push((backup, permit));
                }
            }
            Ok((instance.guid, removals, store::now(conn)?))
        })
        .await
}

/// Removes a backup's objects and then records it, under the lease.
async fn remove_one(
    manager: &Manager,
    job: &ClaimedJob,
    guid: &ServiceInstanceGuid,
    backup: &Backup,
    permit: Permit,
    now: DateTime<Utc>,
) -> Result<()> {
    await_agent(manager, job, backup, now).await?;
    carry_out(manager, &Actor::worker(), guid, backup, permit, Some(&job.lease)).await
}

/// What an agent may still be writing is not removed before it has confirmed that it stopped, or patience is over.
async fn await_agent(manager: &Manager, job: &ClaimedJob, backup: &Backup, now: DateTime<Utc>) -> Result<()> {
    let failed_at = backup.finished_at.unwrap_or(backup.updated_at);
    if !backup.has_remains || now > failed_at + PATIENCE_WITH_AGENT {
        return Ok(());
    }
    if let Err(error) = confirm_stopped(manager, backup).await {
        let text = format!("the agent has not confirmed that it stopped: {}", error.chain());
        note_removal_error(manager, backup, Some(&job.lease), text).await?;
        return Err(error);
    }
    Ok(())
}
