//! Queue `backup_all_job`: starts a backup of all instances of all brokers, and rehearsals of some backups, by fanning out.

use backup_core::Manager;
use backup_core::actions::back_up_all::back_up_all;
use backup_core::actions::rehearse_backups::rehearse_backups;
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    back_up_all(&manager, &job).await.map_err(super::failed)
}

pub(super) async fn verify(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    rehearse_backups(&manager, &job).await.map_err(super::failed)
}
