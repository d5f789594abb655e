//! Queue `update_instance_state_job`: asks the brokers which instances are new, changed and deleted, and the stores which
//! backups the catalogue has lost.

use backup_core::Manager;
use backup_core::actions::rebuild_catalogue::rebuild_catalogue;
use backup_core::actions::reconcile::reconcile as compare_ledgers;
use backup_core::actions::synchronise_instances::{synchronise_all, synchronise_broker};
use backup_core::jobs::{RebuildCatalogueArguments, ReconcileArguments, UpdateInstanceStateArguments};
use backup_queue::{ClaimedJob, JobError, Outcome};

pub(super) async fn run(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: UpdateInstanceStateArguments = super::arguments(&job)?;
    let outcome = match &arguments.broker {
        Some(broker) => synchronise_broker(&manager, &job, broker).await,
        None => synchronise_all(&manager, &job).await,
    };
    outcome.map_err(super::failed)
}

pub(super) async fn rebuild(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: RebuildCatalogueArguments = super::arguments(&job)?;
    rebuild_catalogue(&manager, &job, arguments.id).await.map_err(super::failed)
}

/// Compares the ledgers.
pub(super) async fn reconcile(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: ReconcileArguments = super::arguments(&job)?;
    compare_ledgers(&manager, &job, arguments.id).await.map_err(super::failed)
}
