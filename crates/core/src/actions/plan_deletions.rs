//! The `initialize_backup_deletion_job`: finds the instances that have something to delete and fans out one
//! `backup_deleter_job` each. Also the dry run, which asks the same gate and changes nothing.

use std::collections::HashMap;

use backup_queue::{ClaimedJob, Outcome};

use super::deletion;
use super::inspect::ROWS;
use crate::Result;
use crate::domain::backup::Backup;
use crate::domain::deletion::RetentionDecision;
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::instance::ServiceInstance;
use crate::jobs::{self, DeletionStep};
use crate::manager::Manager;
use crate::store::{backups, deletions};

/// Instances per transaction.
const CHUNK: i64 = 1000;

/// Fans out. An instance that has a deleter job already gets no second one.
pub async fn plan_deletions(manager: &Manager, job: &ClaimedJob, step: DeletionStep) -> Result<Outcome> {
    let mut after = ServiceInstanceId(0);
    loop {
        let (lease, settings) = (job.lease.clone(), manager.settings());
        let last = manager
            .database
            .transaction(move |conn| {
                lease.confirm(conn)?;
                let list = match step {
                    DeletionStep::Mark => deletions::list_instances_to_mark,
                    DeletionStep::Remove => deletions::list_instances_to_clean,
                };
                let instances = list(conn, after, CHUNK, &settings.policy)?;
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
    /// The decisions on the others, when there are more; the backups are read with
    /// [`backups_before`](super::inspect::backups_before).
    pub decisions: HashMap<BackupId, RetentionDecision>,
}

/// Asks the gate about every backup of one instance, without changing anything.
pub async fn preview_deletions(manager: &Manager, instance: &ServiceInstance) -> Result<Preview> {
    let (settings, instance) = (manager.settings(), instance.clone());
    manager
        .database
        .transaction(move |conn| {
            let newest = backups::list_before(conn, instance.id, None, ROWS)?;
            let has_more = i64::try_from(newest.len()).unwrap_or(i64::MAX) >= ROWS;
            let gate = deletion::gate(conn, &settings.policy, &instance)?;
            let mut decisions: HashMap<_, _> = gate.plan().map(|decision| (decision.id, decision)).collect();
            let planned = |backup: Backup| {
                let decision = decisions.remove(&backup.id)?;
                Some(Planned { instance: instance.guid.clone(), backup, decision })
            };
            let newest = newest.into_iter().filter_map(planned).collect();
            Ok(Preview { newest, decisions: if has_more { decisions } else { HashMap::new() } })
        })
        .await
}
