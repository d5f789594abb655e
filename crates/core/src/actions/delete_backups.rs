//! The `backup_deleter_job`: marks or removes the backups of one instance, exactly as the rule of retention says, and
//! cleans up what failed backups left in the store.

use backup_queue::{ClaimedJob, Outcome};
use chrono::{DateTime, Utc};
use diesel::PgConnection;

use super::agent_endpoint::confirm_stopped;
use super::delete_backup::{note_removal_error, remove_objects, remove_row};
use super::plan_deletions::decide;
use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::backup::{Backup, BackupStatus};
use crate::domain::identifiers::{ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::retention::{RetentionAction, RetentionReason};
use crate::jobs::DeletionStep;
use crate::manager::Manager;
use crate::store::{self, audit_events, deletions, service_instances};
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
            for (backup, decision) in decide(conn, &settings.policy, &instance)? {
                if decision.action == RetentionAction::Mark && deletions::update_marked(conn, backup.id)? {
                    let subject = Some(format!("backup {}: {}", backup.id, decision.reason));
                    let action = AuditAction::MarkBackup;
                    audit_events::insert(conn, &Actor::worker(), action, Some(&instance.guid), subject)?;
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
    let (guid, chosen, remains, now) = manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let instance = service_instances::lock(conn, instance)?;
            let (mut chosen, mut remains) = (Vec::new(), Vec::new());
            for (backup, decision) in decide(conn, &settings.policy, &instance)? {
                // From here on it cannot be undeleted.
                if decision.action == RetentionAction::Remove
                    && deletions::update_remove_at_once(conn, backup.id)?
                {
                    chosen.push((backup, decision.reason));
                } else if backup.has_remains && backup.status == BackupStatus::Failed {
                    remains.push(backup);
                }
            }
            Ok((instance.guid, chosen, remains, store::now(conn)?))
        })
        .await?;
    let removals = chosen.into_iter().map(|(backup, reason)| (backup, Some(reason)));
    let clean_ups = remains.into_iter().map(|backup| (backup, None));
    let mut first_error = None;
    for (backup, reason) in removals.chain(clean_ups) {
        let removal = Removal { guid: guid.clone(), backup, reason };
        let removed = remove_one(manager, job, &removal, now).await;
        let Removal { backup, reason, .. } = removal;
        match (removed, reason) {
            (Ok(()), Some(reason)) => tracing::info!(backup.id = backup.id.0, "removed: {reason}"),
            (Ok(()), None) => {
                tracing::info!(backup.id = backup.id.0, "removed what a failed backup had left")
            }
            (Err(Error::LeaseLost), _) => return Err(Error::LeaseLost),
            (Err(error), _) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// A backup whose objects go.
#[derive(Clone)]
struct Removal {
    guid: ServiceInstanceGuid,
    backup: Backup,
    /// Why the backup goes; none for a failed backup that stays and only loses its partial objects.
    reason: Option<RetentionReason>,
}

/// Removes a backup's objects and then records it, under the lease.
async fn remove_one(
    manager: &Manager,
    job: &ClaimedJob,
    removal: &Removal,
    now: DateTime<Utc>,
) -> Result<()> {
    await_agent(manager, job, &removal.backup, now).await?;
    remove_objects(manager, &removal.backup, Some(&job.lease)).await?;
    let (lease, removal) = (job.lease.clone(), removal.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            record(conn, &removal)
        })
        .await
}

fn record(conn: &mut PgConnection, removal: &Removal) -> Result<()> {
    let (worker, id) = (Actor::worker(), removal.backup.id);
    match removal.reason {
        Some(reason) => remove_row(conn, &worker, &removal.guid, id, &reason.to_string()),
        None => {
            deletions::update_remains_gone(conn, id)?;
            let subject = Some(format!("backup {id}: what it had left in the store when it failed"));
            audit_events::insert(conn, &worker, AuditAction::CleanUpBackup, Some(&removal.guid), subject)
        }
    }
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
