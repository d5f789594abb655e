//! The `initialize_backup_deletion_job`: finds the instances that have something to delete and fans out one
//! `backup_deleter_job` each. Also the dry run, which applies the same rule and changes nothing.

use backup_queue::{ClaimedJob, Outcome};
use diesel::PgConnection;

use crate::Result;
use crate::domain::backup::{Backup, BackupStatus};
use crate::domain::identifiers::{ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::instance::ServiceInstance;
use crate::domain::retention::{self, RetentionDecision, RetentionFacts, RetentionRule};
use crate::domain::scope::Scope;
use crate::jobs::{self, DeletionStep};
use crate::manager::{Manager, Policy};
use crate::store::{self, backups, deletions, service_instances};

/// Instances per transaction.
const CHUNK: i64 = 1000;

/// Fans out. An instance that has a deleter job already gets no second one.
pub async fn plan_deletions(manager: &Manager, job: &ClaimedJob, step: DeletionStep) -> Result<Outcome> {
    let mut after = ServiceInstanceId(0);
    loop {
        let (lease, days) = (job.lease.clone(), manager.policy().retention_days);
        let last = manager
            .database
            .transaction(move |conn| {
                lease.confirm(conn)?;
                let instances = match step {
                    DeletionStep::Mark => deletions::list_instances_to_mark(conn, after, CHUNK, days)?,
                    DeletionStep::Remove => deletions::list_instances_to_clean(conn, after, CHUNK)?,
                };
                let deleters: Vec<_> = instances.iter().map(|id| jobs::delete_backups(*id, step)).collect();
                backup_queue::enqueue_many(conn, &deleters)?;
                Ok(instances.last().copied())
            })
            .await?;
        match last {
            Some(last) => after = last,
            None => return Ok(Outcome::Done),
        }
    }
}

/// A backup with what retention would do to it now.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Whose backup.
    pub instance: ServiceInstanceGuid,
    /// The backup.
    pub backup: Backup,
    /// What would be done, and why.
    pub decision: RetentionDecision,
}

/// Applies the rule to one instance, or to the next `limit` instances after `after`, without changing anything.
/// Returns the decisions and the number of the last instance looked at; none when there are no more.
pub async fn preview_deletions(
    manager: &Manager,
    only: Option<ServiceInstanceGuid>,
    after: ServiceInstanceId,
    limit: i64,
) -> Result<(Vec<Planned>, Option<ServiceInstanceId>)> {
    let settings = manager.settings();
    manager
        .database
        .transaction(move |conn| {
            let instances = match &only {
                Some(guid) => vec![service_instances::get(conn, guid)?],
                None => service_instances::list(conn, &Scope::Everything, after, limit)?,
            };
            let last = if only.is_some() { None } else { instances.last().map(|instance| instance.id) };
            let mut planned = Vec::new();
            for instance in instances {
                for (backup, decision) in decide(conn, &settings.policy, &instance)? {
                    planned.push(Planned { instance: instance.guid.clone(), backup, decision });
                }
            }
            Ok((planned, last))
        })
        .await
}

/// The rule's word on every backup of an instance, by the database's clock.
pub(super) fn decide(
    conn: &mut PgConnection,
    policy: &Policy,
    instance: &ServiceInstance,
) -> Result<Vec<(Backup, RetentionDecision)>> {
    let rule = RetentionRule {
        deleted_at: instance.deleted_at,
        min_backup_count: instance.min_backup_count.unwrap_or(policy.min_backup_count),
        retention_days: instance.retention_days.unwrap_or(policy.retention_days),
        deleted_retention_days: policy.deleted_retention_days,
        undo_window: policy.undo_window,
    };
    let backups = backups::list(conn, &[instance.id])?;
    let facts: Vec<_> = backups.iter().map(facts).collect();
    let decisions = retention::plan(&rule, &facts, store::now(conn)?);
    Ok(backups.into_iter().zip(decisions).collect())
}

fn facts(backup: &Backup) -> RetentionFacts {
    RetentionFacts {
        id: backup.id,
        status: backup.status,
        was_done: match backup.status {
            BackupStatus::Done => true,
            BackupStatus::Deleted => backup.reason_code.is_none(),
            BackupStatus::Queued | BackupStatus::Running | BackupStatus::Failed => false,
        },
        triggered_at: backup.triggered_at,
        finished_at: backup.finished_at,
        marked_deleted_at: backup.marked_deleted_at,
        remove_at_once: backup.remove_at_once,
        held_by_restore: backup.is_used_by_restore,
    }
}
