//! Queue `update_instance_state_job`: asks the brokers which instances are new, changed and deleted, the stores which backups
//! the catalogue has lost, and the agents to which moments their data services can be restored.

use backup_core::Manager;
use backup_core::actions::rebuild_catalogue::rebuild_catalogue;
use backup_core::actions::reconcile::reconcile as compare_ledgers;
use backup_core::actions::refresh_windows::{refresh_all, refresh_windows as ask};
use backup_core::actions::synchronise_instances::{synchronise_all, synchronise_broker};
use backup_core::jobs::{
    RebuildCatalogueArguments, ReconcileArguments, RefreshWindowsArguments, UpdateInstanceStateArguments,
};
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

/// Learns the windows of one instance, or fans out to all.
pub(super) async fn refresh_windows(manager: Manager, job: ClaimedJob) -> Result<Outcome, JobError> {
    let arguments: RefreshWindowsArguments = super::arguments(&job)?;
    let outcome = match &arguments.instance {
        Some(instance) => ask(&manager, &job, instance).await,
        None => refresh_all(&manager, &job).await,
    };
    outcome.map_err(super::failed)
}
