//! The instance object of spec 2.4 with its backups, restores and tasks, as the first generation has them.

use backup_core::Manager;
use backup_core::actions::inspect::InstanceDetails;
use backup_core::domain::backup::Backup;
use backup_core::domain::instance::ServiceInstance;
use backup_core::domain::restore::Restore;
use serde::Serialize;

use super::Timestamp;
use super::backup::is_downloadable;

/// A service instance with everything that belongs to it.
#[derive(Serialize)]
pub(crate) struct InstanceView {
    id: i64,
    instance_id: String,
    backups: Vec<InstanceBackup>,
    restores: Vec<InstanceRestore>,
    service_broker: String,
    state: String,
    deployment_name: Option<String>,
    plan_guid: Option<String>,
    service_guid: Option<String>,
    backup_guid: String,
    organization_guid: Option<String>,
    space_guid: Option<String>,
    last_done_at: Option<Timestamp>,
}

/// A backup, as the instance object has it.
#[derive(Serialize)]
pub(crate) struct InstanceBackup {
    id: i64,
    instance_id: i64,
    backup_id: String,
    size: i64,
    is_downloadable: bool,
    backup_agent_task: Task,
}

/// A restore, as the instance object has it.
#[derive(Serialize)]
pub(crate) struct InstanceRestore {
    id: i64,
    instance_id: i64,
    backup_agent_tasks: [Task; 1],
}

/// The work of the agent: there is one task per backup and per restore, with the same number.
#[derive(Serialize)]
struct Task {
    id: i64,
    task_id: String,
    status: &'static str,
    msg: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Where the arrays stand in an instance without any.
const NO_ARRAYS: &str = "\"backups\":[],\"restores\":[]";

/// The text of an instance object around its arrays, for instances with more in them than can be held.
pub(crate) struct InstanceFrame {
    /// Up to the first backup.
    pub(crate) opening: String,
    /// Between the last backup and the first restore.
    pub(crate) between: &'static str,
    /// From the last restore on.
    pub(crate) ending: String,
}

impl InstanceFrame {
    /// None only when the view's fields were changed and [`NO_ARRAYS`] was not.
    pub(crate) fn new(manager: &Manager, instance: &ServiceInstance) -> Option<Self> {
        let instance = instance.clone();
        let details = InstanceDetails { instance, backups: Vec::new(), restores: Vec::new() };
        let text = serde_json::to_string(&InstanceView::new(manager, details)).ok()?;
        // Not to be found inside of a value, where quotation marks are escaped.
        let (before, after) = text.split_once(NO_ARRAYS)?;
        Some(Self {
            opening: format!("{before}\"backups\":["),
            between: "],\"restores\":[",
            ending: format!("]{after}"),
        })
    }
}

impl InstanceView {
    pub(crate) fn new(manager: &Manager, details: InstanceDetails) -> Self {
        let InstanceDetails { instance, backups, restores } = details;
        Self {
            id: instance.id.0,
            instance_id: instance.guid.to_string(),
            backups: backups.into_iter().map(|backup| InstanceBackup::new(manager, backup)).collect(),
            restores: restores.into_iter().map(InstanceRestore::new).collect(),
            service_broker: instance.service_broker,
            state: instance.state,
            deployment_name: instance.deployment_name,
            plan_guid: instance.plan_guid,
            service_guid: instance.service_guid,
            backup_guid: instance.backup_guid,
            organization_guid: instance.organization_guid,
            space_guid: instance.space_guid,
            last_done_at: instance.last_done_at.map(Timestamp),
        }
    }
}

impl InstanceBackup {
    pub(crate) fn new(manager: &Manager, backup: Backup) -> Self {
        Self {
            id: backup.id.0,
            instance_id: backup.instance.0,
            size: backup.size,
            is_downloadable: is_downloadable(manager, &backup),
            backup_agent_task: Task {
                id: backup.id.0,
                task_id: backup.backup_id.clone(),
                status: backup.status.as_str(),
                msg: backup.msg,
                created_at: Timestamp(backup.triggered_at),
                updated_at: Timestamp(backup.updated_at),
            },
            backup_id: backup.backup_id,
        }
    }
}

impl InstanceRestore {
    pub(crate) fn new(restore: Restore) -> Self {
        Self {
            id: restore.id.0,
            instance_id: restore.instance.0,
            backup_agent_tasks: [Task {
                id: restore.id.0,
                task_id: restore.restore_id,
                status: restore.status.as_str(),
                msg: restore.msg,
                created_at: Timestamp(restore.triggered_at),
                updated_at: Timestamp(restore.updated_at),
            }],
        }
    }
}
