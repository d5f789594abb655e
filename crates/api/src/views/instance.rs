//! The instance object of spec 2.4 with its backups, restores and tasks, as the first generation has them.

use backup_core::Manager;
use backup_core::actions::inspect::InstanceDetails;
use backup_core::domain::backup::BackupSummary;
use backup_core::domain::instance::ServiceInstance;
use backup_core::domain::restore::Restore;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{
    EXAMPLE_BACKUP, EXAMPLE_BACKUP_GUID, EXAMPLE_GUID, backup_status, example_time, time, time_or_null,
};
use super::{Timestamp, View};

/// A service instance with everything that belongs to it.
#[derive(Serialize, ToSchema)]
#[schema(as = Instance)]
pub(crate) struct InstanceView {
    /// The internal number of the instance.
    #[schema(minimum = 1)]
    id: i64,
    /// The platform's GUID of the instance.
    instance_id: String,
    /// Newest first.
    backups: Vec<InstanceBackup>,
    /// Newest first.
    restores: Vec<InstanceRestore>,
    /// The name of the service broker that knows the instance.
    service_broker: String,
    /// The broker's word for where the instance stands.
    state: String,
    deployment_name: Option<String>,
    plan_guid: Option<String>,
    service_guid: Option<String>,
    /// The name of the instance's folder in the backup store.
    backup_guid: String,
    organization_guid: Option<String>,
    space_guid: Option<String>,
    /// When the last good backup was finished.
    #[schema(schema_with = time_or_null)]
    last_done_at: Option<Timestamp>,
}

/// A backup in an instance object.
#[derive(Serialize, ToSchema)]
pub(crate) struct InstanceBackup {
    /// The number of the backup.
    #[schema(minimum = 1)]
    id: i64,
    /// The internal number of the instance.
    #[schema(minimum = 1)]
    instance_id: i64,
    /// The name of the backup towards agents and in the store.
    backup_id: String,
    /// Stored bytes; 0 until known.
    #[schema(minimum = 0)]
    size: i64,
    is_downloadable: bool,
    backup_agent_task: Task,
}

/// A restore in an instance object.
#[derive(Serialize, ToSchema)]
pub(crate) struct InstanceRestore {
    /// The number of the restore.
    #[schema(minimum = 1)]
    id: i64,
    /// The internal number of the instance.
    #[schema(minimum = 1)]
    instance_id: i64,
    #[schema(value_type = Vec<Task>, min_items = 1, max_items = 1)]
    backup_agent_tasks: [Task; 1],
}

/// The work of the agent: there is one task per backup and per restore, with the same number.
#[derive(Serialize, ToSchema)]
struct Task {
    /// The number of the backup or restore.
    #[schema(minimum = 1)]
    id: i64,
    /// The name of the operation towards the agent.
    task_id: String,
    #[schema(schema_with = backup_status)]
    status: &'static str,
    /// Why it failed.
    msg: Option<String>,
    #[schema(schema_with = time)]
    created_at: Timestamp,
    #[schema(schema_with = time)]
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

impl View for InstanceView {
    fn example() -> Self {
        let backup_agent_task = Task {
            id: 1,
            task_id: EXAMPLE_BACKUP.to_owned(),
            status: "done",
            msg: None,
            created_at: example_time(0),
            updated_at: example_time(40),
        };
        Self {
            id: 1,
            instance_id: EXAMPLE_GUID.to_owned(),
            backups: vec![InstanceBackup {
                id: 1,
                instance_id: 1,
                backup_id: EXAMPLE_BACKUP.to_owned(),
                size: 1_048_576,
                is_downloadable: false,
                backup_agent_task,
            }],
            restores: Vec::new(),
            service_broker: "postgresql".to_owned(),
            state: "provisioned".to_owned(),
            deployment_name: Some("pg-d41".to_owned()),
            plan_guid: None,
            service_guid: None,
            backup_guid: EXAMPLE_BACKUP_GUID.to_owned(),
            organization_guid: None,
            space_guid: None,
            last_done_at: Some(example_time(40)),
        }
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
    pub(crate) fn new(manager: &Manager, backup: BackupSummary) -> Self {
        Self {
            id: backup.id.0,
            instance_id: backup.instance.0,
            size: backup.size,
            is_downloadable: manager.policy().allow_backup_download && backup.is_downloadable(),
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
