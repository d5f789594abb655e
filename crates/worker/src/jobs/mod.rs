//! Which handler runs which kind of job: one line each. A handler reads its arguments and calls one action.

mod backup_agent_backups;
mod backup_all_job;
mod backup_deleter_job;
mod backup_watcher_job;
mod initialize_backup_deletion_job;
mod restore_watcher_job;
mod update_instance_state_job;

use std::future::Future;
use std::time::Duration;

use backup_core::{Error, Manager, jobs};
use backup_queue::{Backoff, ClaimedJob, JobError, Outcome, Registry};
use serde::de::DeserializeOwned;

/// Between attempts to reach an agent: the default of five attempts spans a quarter of an hour, in which an agent is
/// restarted or its machine replaced; a higher number goes on every ten minutes.
const DISPATCH_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(10), cap: Duration::from_secs(600), factor: 4 };

/// All handlers of the product.
pub fn registry(manager: &Manager) -> Registry {
    let mut registry = Registry::new();
    register(&mut registry, manager, jobs::KIND_BACKUP_ALL, backup_all_job::run);
    register(&mut registry, manager, jobs::KIND_VERIFY_BACKUPS, backup_all_job::verify);
    register(&mut registry, manager, jobs::KIND_START_OPERATION, backup_agent_backups::run);
    registry.backoff(jobs::KIND_START_OPERATION, DISPATCH_BACKOFF);
    register(&mut registry, manager, jobs::KIND_CHECK_OPERATION, check_operation);
    register(
        &mut registry,
        manager,
        jobs::KIND_INITIALIZE_BACKUP_DELETION,
        initialize_backup_deletion_job::run,
    );
    register(&mut registry, manager, jobs::KIND_PRUNE_HISTORY, initialize_backup_deletion_job::prune);
    register(&mut registry, manager, jobs::KIND_DELETE_BACKUPS, backup_deleter_job::run);
    register(&mut registry, manager, jobs::KIND_UPDATE_INSTANCE_STATE, update_instance_state_job::run);
    register(&mut registry, manager, jobs::KIND_REBUILD_CATALOGUE, update_instance_state_job::rebuild);
    register(&mut registry, manager, jobs::KIND_REFRESH_WINDOWS, update_instance_state_job::refresh_windows);
    register(&mut registry, manager, jobs::KIND_RECONCILE, update_instance_state_job::reconcile);
    registry
}

/// Both watcher queues hold jobs of one kind; each has its handler.
async fn check_operation(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    if job.queue == jobs::RESTORE_WATCHER {
        restore_watcher_job::run(manager, job).await
    } else {
        backup_watcher_job::run(manager, job).await
    }
}

fn register<F, Fut>(registry: &mut Registry, manager: &Manager, kind: &str, handler: F)
where
    F: Fn(Manager, ClaimedJob) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, JobError>> + Send + 'static,
{
    let manager = manager.clone();
    registry.register(kind, move |job| handler(manager.clone(), job));
}

/// Reads a job's arguments. Rubbish stays rubbish: no retry.
fn arguments<T: DeserializeOwned>(job: &ClaimedJob) -> Result<T, JobError> {
    serde_json::from_value(job.arguments.clone())
        .map_err(|error| JobError::give_up(format!("the arguments cannot be read: {error}")))
}

/// An action's error, with whether another attempt can help.
fn failed(error: Error) -> JobError {
    let retry = error.is_retryable();
    JobError { retry, ..JobError::from(error) }
}
