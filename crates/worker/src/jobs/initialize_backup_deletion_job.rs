//! Queue `initialize_backup_deletion_job`: finds instances with deletable backups, and fans out; forgets old history.

use backup_core::Manager;
use backup_core::actions::plan_deletions::plan_deletions;
use backup_core::actions::prune_history::prune_history;
use backup_core::jobs::InitializeDeletionArguments;
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: InitializeDeletionArguments = super::arguments(&job)?;
    plan_deletions(&manager, &job, arguments.step).await.map_err(super::failed)
}

/// Forgets what has been over for long enough.
pub(super) async fn prune(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    prune_history(&manager, &job).await.map_err(super::failed)
}
