//! Queue `update_instance_state_job`: asks the brokers which instances are new, changed and deleted.

use backup_core::Manager;
use backup_core::actions::synchronise_instances::{synchronise_all, synchronise_broker};
use backup_core::jobs::UpdateInstanceStateArguments;
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: UpdateInstanceStateArguments = super::arguments(&job)?;
    let outcome = match &arguments.broker {
        Some(broker) => synchronise_broker(&manager, &job, broker).await,
        None => synchronise_all(&manager, &job).await,
    };
    outcome.map_err(super::failed)
}
