//! Queue `backup_watcher_job`: asks the backup agent about a running backup.

use backup_core::Manager;
use backup_core::actions::check_operation::check_operation;
use backup_core::domain::operation::OperationKind;
use backup_core::jobs::OperationArguments;
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: OperationArguments = super::arguments(&job)?;
    check_operation(&manager, &job, OperationKind::Backup, arguments.id).await.map_err(super::failed)
}
