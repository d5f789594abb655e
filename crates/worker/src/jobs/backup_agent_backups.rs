//! Queue `backup_agent_backups`: sends requests for backups, restores and rehearsals to backup agents.

use backup_core::Manager;
use backup_core::actions::start_operation::start_operation;
use backup_core::jobs::OperationArguments;
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: OperationArguments = super::arguments(&job)?;
    let kind =
        arguments.kind().ok_or_else(|| JobError::retry("this worker does not know such operations"))?;
    start_operation(&manager, &job, kind, arguments.id).await.map_err(super::failed)
}
