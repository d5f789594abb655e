//! The `initialize_backup_deletion_job`: finds the instances that have something to delete and fans out one
//! `backup_deleter_job` each. Also the dry run, which applies the same rule and changes nothing.

use std::collections::HashMap;

use backup_queue::{ClaimedJob, Outcome};
use diesel::PgConnection;

use super::inspect::ROWS;
use crate::Result;
use crate::domain::backup::Backup;
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::instance::ServiceInstance;
use crate::domain::retention::{self, RetentionDecision, RetentionFacts, RetentionRule};
use crate::jobs::{self, DeletionStep};
use crate::manager::{Manager, Policy};
use crate::store::{self, backups, deletions, retention_facts};

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

/// The rule's word on the backups of one instance.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The newest [`ROWS`] backups.
    pub newest: Vec<Planned>,
    /// The decisions on all of them when there are more; the backups are read with
    /// [`backups_before`](super::inspect::backups_before).
    pub decisions: HashMap<BackupId, RetentionDecision>,
}

/// Applies the rule to one instance, without changing anything.
pub async fn preview_deletions(manager: &Manager, instance: &ServiceInstance) -> Result<Preview> {
    let (settings, instance) = (manager.settings(), instance.clone());
    manager
        .database
        .transaction(move |conn| {
            let newest = backups::list_before(conn, instance.id, None, ROWS)?;
            let has_more = i64::try_from(newest.len()).unwrap_or(i64::MAX) >= ROWS;
            let facts = match has_more {
                // The rule needs all of them, but not everything about them.
                true => retention_facts::list(conn, instance.id)?,
                false => newest.iter().map(facts).collect(),
            };
            let rule = rule(&settings.policy, &instance);
            let decisions = retention::plan(&rule, &facts, store::now(conn)?);
            let decisions: HashMap<_, _> =
                decisions.into_iter().map(|decision| (decision.id, decision)).collect();
            let planned = |backup: Backup| {
                let decision = decisions.get(&backup.id).copied()?;
                Some(Planned { instance: instance.guid.clone(), backup, decision })
            };
            let newest = newest.into_iter().filter_map(planned).collect();
            Ok(Preview { newest, decisions: if has_more { decisions } else { HashMap::new() } })
        })
        .await
}

/// The rule's word on every backup of an instance, by the database's clock.
pub(super) fn decide(
    conn: &mut PgConnection,
    policy: &Policy,
    instance: &ServiceInstance,
) -> Result<Vec<(Backup, RetentionDecision)>> {
    let rule = rule(policy, instance);
    let backups = backups::list(conn, &[instance.id])?;
    let facts: Vec<_> = backups.iter().map(facts).collect();
    let decisions = retention::plan(&rule, &facts, store::now(conn)?);
    Ok(backups.into_iter().zip(decisions).collect())
}

fn rule(policy: &Policy, instance: &ServiceInstance) -> RetentionRule {
    RetentionRule {
        deleted_at: instance.deleted_at,
        min_backup_count: instance.min_backup_count.unwrap_or(policy.min_backup_count),
        retention_days: instance.retention_days.unwrap_or(policy.retention_days),
        deleted_retention_days: policy.deleted_retention_days,
        undo_window: policy.undo_window,
    }
}

fn facts(backup: &Backup) -> RetentionFacts {
    RetentionFacts {
        id: backup.id,
        status: backup.status,
        was_done: backup.status.was_done(backup.reason_code.is_some()),
        triggered_at: backup.triggered_at,
        finished_at: backup.finished_at,
        marked_deleted_at: backup.marked_deleted_at,
        remove_at_once: backup.remove_at_once,
        held_by_restore: backup.is_used_by_restore,
    }
}
