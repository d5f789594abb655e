//! Queue `backup_watcher_job`: asks the backup agent about a running backup, and to which moments its data
//! service can be restored.

use backup_core::Manager;
use backup_core::actions::check_operation::check_operation;
use backup_core::actions::refresh_windows::{refresh_all, refresh_windows as ask};
use backup_core::domain::operation::OperationKind;
use backup_core::jobs::{OperationArguments, RefreshWindowsArguments};
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: OperationArguments = super::arguments(&job)?;
    check_operation(&manager, &job, OperationKind::Backup, arguments.id).await.map_err(super::failed)
}

/// Learns the windows of one instance, or fans out to all.
pub(super) async fn refresh_windows(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: RefreshWindowsArguments = super::arguments(&job)?;
    let outcome = match &arguments.instance {
        Some(instance) => ask(&manager, &job, instance).await,
        None => refresh_all(&manager, &job).await,
    };
    outcome.map_err(super::failed)
}
