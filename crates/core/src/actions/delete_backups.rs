//! The `backup_deleter_job`: marks or removes the backups of one instance, exactly as the rule of retention says, and
//! cleans up what failed backups left in the store.

use backup_queue::{ClaimedJob, Outcome};
use chrono::{DateTime, Utc};

use super::agent_endpoint::agent_of;
use super::delete_backup::remove_objects;
use super::plan_deletions::decide;
use crate::domain::backup::{Backup, BackupStatus};
use crate::domain::identifiers::ServiceInstanceId;
use crate::domain::operation::OperationKind;
use crate::domain::retention::RetentionAction;
use crate::jobs::DeletionStep;
use crate::manager::Manager;
use crate::store::{self, backups, service_instances};
use crate::{Error, Result};

/// An agent that cannot be asked whether it has stopped gets this long before its remains are removed all the same.
const PATIENCE_WITH_AGENT: chrono::Duration = chrono::Duration::hours(24);

/// Does one step for one instance. A backup whose removal fails stays visible with the reason and holds up no other;
/// the error returned at the end makes the job run again.
pub async fn delete_backups(manager: &Manager, job: &ClaimedJob, instance: ServiceInstanceId, step: DeletionStep) -> Result<Outcome> {
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
            for (backup, decision) in decide(conn, &settings.policy, &instance)? {
                if decision.action == RetentionAction::Mark {
                    backups::update_marked(conn, backup.id, false)?;
                    tracing::info!(
                        service_instance.guid = %instance.guid,
                        backup.id = backup.id.0,
                        "marked for removal: {}", decision.reason
                    );
                }
            }
            Ok(())
        })
        .await
}

async fn remove(manager: &Manager, job: &ClaimedJob, instance: ServiceInstanceId) -> Result<()> {
    let (settings, lease) = (manager.settings(), job.lease.clone());
    let (chosen, remains, now) = manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let instance = service_instances::lock(conn, instance)?;
            let (mut chosen, mut remains) = (Vec::new(), Vec::new());
            for (backup, decision) in decide(conn, &settings.policy, &instance)? {
                if decision.action == RetentionAction::Remove {
                    // From here on it cannot be undeleted.
                    backups::update_remove_at_once(conn, backup.id)?;
                    chosen.push((backup, decision.reason));
                } else if backup.has_remains && backup.status == BackupStatus::Failed {
                    remains.push(backup);
                }
            }
            Ok((chosen, remains, store::now(conn)?))
        })
        .await?;
    let mut first_error = None;
    for (backup, reason) in chosen {
        match remove_one(manager, job, &backup).await {
            Ok(()) => tracing::info!(backup.id = backup.id.0, "removed: {reason}"),
            Err(Error::LeaseLost) => return Err(Error::LeaseLost),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    for backup in remains {
        if let Err(error) = clean_up(manager, job, &backup, now).await {
            first_error = first_error.or(Some(error));
        }
    }
    first_error.map_or(Ok(()), Err)
}

async fn remove_one(manager: &Manager, job: &ClaimedJob, backup: &Backup) -> Result<()> {
    remove_objects(manager, backup).await?;
    let (lease, id) = (job.lease.clone(), backup.id);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            backups::delete(conn, id)
        })
        .await
}

/// Removes the partial objects of a failed backup, once its agent has confirmed that it no longer writes.
async fn clean_up(manager: &Manager, job: &ClaimedJob, backup: &Backup, now: DateTime<Utc>) -> Result<()> {
    let stopped = stop_at_agent(manager, backup).await;
    let failed_at = backup.finished_at.unwrap_or(backup.updated_at);
    if let Err(error) = stopped
        && now < failed_at + PATIENCE_WITH_AGENT
    {
        let (id, text) = (backup.id, format!("the agent has not confirmed that it stopped: {error}"));
        manager.database.transaction(move |conn| backups::update_removal_error(conn, id, &text)).await?;
        return Err(error);
    }
    remove_objects(manager, backup).await?;
    let (lease, id) = (job.lease.clone(), backup.id);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            backups::update_remains_gone(conn, id)
        })
        .await
}

async fn stop_at_agent(manager: &Manager, backup: &Backup) -> Result<()> {
    let (settings, instance) = (manager.settings(), backup.instance);
    let agent = manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_by_id(conn, instance)?;
            // The agent of a deleted instance is gone with it.
            Ok(instance.deleted_at.is_none().then(|| agent_of(&settings, &instance)))
        })
        .await?;
    match agent {
        None => Ok(()),
        Some(agent) => {
            let agent = agent?;
            let status = agent.client.cancel(&agent.endpoint, OperationKind::Backup, &backup.backup_id).await?;
            match status.map(|status| status.state) {
                Some(backup_protocol::OperationState::Running) => Err(Error::InstanceBusy),
                _ => Ok(()),
            }
        }
    }
}
