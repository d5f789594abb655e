//! Queue `backup_deleter_job`: marks or removes the backups of one instance.

use backup_core::Manager;
use backup_core::actions::delete_backups::delete_backups;
use backup_core::jobs::DeleteBackupsArguments;
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: DeleteBackupsArguments = super::arguments(&job)?;
    delete_backups(&manager, &job, arguments.instance, arguments.step).await.map_err(super::failed)
}
