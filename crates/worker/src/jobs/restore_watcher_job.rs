//! Queue `restore_watcher_job`: asks the backup agent about a running restore or rehearsal.

use backup_core::Manager;
use backup_core::actions::check_operation::check_operation;
use backup_core::domain::operation::OperationKind;
use backup_core::jobs::OperationArguments;
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: OperationArguments = super::arguments(&job)?;
    let kind = match arguments.kind() {
        Some(OperationKind::Rehearsal) => OperationKind::Rehearsal,
        _ => OperationKind::Restore,
    };
    check_operation(&manager, &job, kind, arguments.id).await.map_err(super::failed)
}
