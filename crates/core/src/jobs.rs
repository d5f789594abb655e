//! Every job of the product on one page: kind, queue, arguments, priority, attempts. Handlers are in the worker,
//! in files named like the queues.

use std::time::Duration;

use backup_queue::age::Ageing;
use backup_queue::{NewJob, Schedule};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::identifiers::{RebuildId, ReconciliationId, ServiceInstanceId};
use crate::domain::operation::OperationKind;
use crate::manager::Policy;

/// Fans a backup out to all instances, and rehearsals out to some.
pub const BACKUP_ALL: &str = "backup_all_job";
/// Sends requests for backups, restores and rehearsals to agents.
pub const BACKUP_AGENT_BACKUPS: &str = "backup_agent_backups";
/// Asks agents about running backups.
pub const BACKUP_WATCHER: &str = "backup_watcher_job";
/// Asks agents about running restores and rehearsals.
pub const RESTORE_WATCHER: &str = "restore_watcher_job";
/// Finds instances with deletable backups.
pub const INITIALIZE_BACKUP_DELETION: &str = "initialize_backup_deletion_job";
/// Deletes backups of one instance.
pub const BACKUP_DELETER: &str = "backup_deleter_job";
/// Learns new, changed and deleted instances from the brokers.
pub const UPDATE_INSTANCE_STATE: &str = "update_instance_state_job";

/// The names of the queues: part of the contract with operators, who write them into their configuration.
pub const QUEUES: [&str; 7] = [
    BACKUP_ALL,
    BACKUP_AGENT_BACKUPS,
    BACKUP_WATCHER,
    RESTORE_WATCHER,
    INITIALIZE_BACKUP_DELETION,
    BACKUP_DELETER,
    UPDATE_INSTANCE_STATE,
];

/// Unique key of [`backup_all`].
pub const BACKUP_ALL_KEY: &str = "backup-all";
/// Name of the schedule of [`backup_all`].
pub const FULL_BACKUP: &str = "full_backup";

/// Watching goes first: it is quick, and what has ended frees its instance.
const PRIORITY_WATCH: i16 = 25;
/// Somebody waits for it.
const PRIORITY_ON_DEMAND: i16 = 50;
/// The schedule asked for it.
const PRIORITY_SCHEDULED: i16 = 100;
/// Nobody waits who could not wait longer.
const PRIORITY_BACKGROUND: i16 = 200;
/// Attempts of jobs that only read, decide and record: enough to ride out an outage of hours.
const PATIENT: i32 = 50;

/// Arguments of `start_operation` and `check_operation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationArguments {
    /// `backup`, `restore` or `rehearsal`.
    pub operation: String,
    /// The row's number.
    pub id: i64,
}

impl OperationArguments {
    /// The kind; none when the row was written by a newer version that knows more kinds.
    pub fn kind(&self) -> Option<OperationKind> {
        OperationKind::parse(&self.operation)
    }
}

/// The two steps of a deletion (spec 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletionStep {
    /// Mark what retention lets go.
    Mark,
    /// Remove what has been marked for long enough, and the remains of failed backups.
    Remove,
}

/// Arguments of `initialize_backup_deletion`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InitializeDeletionArguments {
    /// Which step to plan.
    pub step: DeletionStep,
}

/// Arguments of `delete_backups`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteBackupsArguments {
    /// Whose backups.
    pub instance: ServiceInstanceId,
    /// Which step.
    pub step: DeletionStep,
}

/// Arguments of `update_instance_state`; without a broker it fans out one job per broker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UpdateInstanceStateArguments {
    /// Name of one broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
}

/// Arguments of `rebuild_catalogue`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RebuildCatalogueArguments {
    /// The rebuild's number.
    pub id: RebuildId,
}

/// Arguments of `reconcile`; the schedule's job makes a reconciliation of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReconcileArguments {
    /// The reconciliation's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ReconciliationId>,
}

/// Kind of [`backup_all`].
pub const KIND_BACKUP_ALL: &str = "backup_all";
/// Kind of [`verify_backups`].
pub const KIND_VERIFY_BACKUPS: &str = "verify_backups";
/// Kind of [`start_operation`].
pub const KIND_START_OPERATION: &str = "start_operation";
/// Kind of [`check_operation`].
pub const KIND_CHECK_OPERATION: &str = "check_operation";
/// Kind of [`initialize_backup_deletion`].
pub const KIND_INITIALIZE_BACKUP_DELETION: &str = "initialize_backup_deletion";
/// Kind of [`prune_history`].
pub const KIND_PRUNE_HISTORY: &str = "prune_history";
/// Kind of [`delete_backups`].
pub const KIND_DELETE_BACKUPS: &str = "delete_backups";
/// Kind of [`update_instance_state`].
pub const KIND_UPDATE_INSTANCE_STATE: &str = "update_instance_state";
/// Kind of [`rebuild_catalogue`].
pub const KIND_REBUILD_CATALOGUE: &str = "rebuild_catalogue";

/// Arguments of `refresh_windows`; without an instance it fans out one job per instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RefreshWindowsArguments {
    /// The instance's GUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Kind of [`refresh_windows`].
pub const KIND_REFRESH_WINDOWS: &str = "refresh_windows";
/// Kind of [`reconcile`].
pub const KIND_RECONCILE: &str = "reconcile";

/// Backs up all eligible instances; one at a time is enough.
pub fn backup_all() -> NewJob {
    NewJob::new(BACKUP_ALL, KIND_BACKUP_ALL, json!({})).unique_key(BACKUP_ALL_KEY).max_attempts(PATIENT)
}

/// Asks for rehearsals of a sample of backups; one at a time is enough.
pub fn verify_backups() -> NewJob {
    NewJob::new(BACKUP_ALL, KIND_VERIFY_BACKUPS, json!({})).unique_key("verify-backups").max_attempts(PATIENT)
}

/// Sends an operation to its agent, `delay` from now.
pub fn start_operation(
    kind: OperationKind,
    id: i64,
    is_scheduled: bool,
    delay: Duration,
    policy: &Policy,
) -> NewJob {
    NewJob::new(BACKUP_AGENT_BACKUPS, KIND_START_OPERATION, operation_arguments(kind, id))
        .priority(match (kind, is_scheduled) {
            (OperationKind::Rehearsal, true) => PRIORITY_BACKGROUND,
            (_, true) => PRIORITY_SCHEDULED,
            (_, false) => PRIORITY_ON_DEMAND,
        })
        .delay(delay)
        .unique_key(start_key(kind, id))
        .max_attempts(policy.dispatch_attempts)
}

/// Asks the agent about a running operation until it has ended.
pub fn check_operation(kind: OperationKind, id: i64, delay: Duration) -> NewJob {
    let queue = match kind {
        OperationKind::Backup => BACKUP_WATCHER,
        OperationKind::Restore | OperationKind::Rehearsal => RESTORE_WATCHER,
    };
    NewJob::new(queue, KIND_CHECK_OPERATION, operation_arguments(kind, id))
        .priority(PRIORITY_WATCH)
        .delay(delay)
        .unique_key(check_key(kind, id))
        .max_attempts(PATIENT)
}

/// Starts the schedule asked for that have been due for so long become as urgent as those that somebody waits for. With some of
/// them per sweep, on-demand work that never ends leaves the schedule a share.
pub const AGEING: Ageing<'static> = Ageing {
    queue: BACKUP_AGENT_BACKUPS,
    from: PRIORITY_SCHEDULED,
    to: PRIORITY_ON_DEMAND,
    after: Duration::from_secs(60),
};

/// Finds the instances for which `step` has something to do.
pub fn initialize_backup_deletion(step: DeletionStep) -> NewJob {
    NewJob::new(
        INITIALIZE_BACKUP_DELETION,
        KIND_INITIALIZE_BACKUP_DELETION,
        to_value(&InitializeDeletionArguments { step }),
    )
    .unique_key(format!("initialize-deletion-{}", step_word(step)))
    .max_attempts(PATIENT)
}

/// Forgets what has been over for long enough. On the queue that finds what may go, behind everything else there.
pub fn prune_history() -> NewJob {
    NewJob::new(INITIALIZE_BACKUP_DELETION, KIND_PRUNE_HISTORY, json!({}))
        .priority(PRIORITY_BACKGROUND)
        .unique_key("prune-history")
        // The next scheduled run is the retry.
        .max_attempts(2)
}

/// Does `step` for the backups of one instance.
pub fn delete_backups(instance: ServiceInstanceId, step: DeletionStep) -> NewJob {
    NewJob::new(BACKUP_DELETER, KIND_DELETE_BACKUPS, to_value(&DeleteBackupsArguments { instance, step }))
        .unique_key(format!("delete-{}-{instance}", step_word(step)))
        .max_attempts(PATIENT)
}

/// Synchronises one broker, or all.
pub fn update_instance_state(broker: Option<&str>) -> NewJob {
    let arguments = UpdateInstanceStateArguments { broker: broker.map(str::to_owned) };
    NewJob::new(UPDATE_INSTANCE_STATE, KIND_UPDATE_INSTANCE_STATE, to_value(&arguments))
        .unique_key(format!("update-instance-state-{}", broker.unwrap_or("*")))
        // The next scheduled run is the retry.
        .max_attempts(2)
}

/// Looks for backups without a row. On the queue that learns what exists, behind the synchronisation of brokers.
pub fn rebuild_catalogue(id: RebuildId) -> NewJob {
    NewJob::new(UPDATE_INSTANCE_STATE, KIND_REBUILD_CATALOGUE, to_value(&RebuildCatalogueArguments { id }))
        .priority(PRIORITY_BACKGROUND)
        .unique_key(format!("rebuild-catalogue-{id}"))
        .max_attempts(PATIENT)
}

/// Compares the ledgers: for the schedule, or as somebody has asked. On the queue that looks at the world outside, behind
/// everything else there.
pub fn reconcile(id: Option<ReconciliationId>) -> NewJob {
    let key = id.map_or_else(|| "reconcile-scheduled".to_owned(), |id| format!("reconcile-{id}"));
    NewJob::new(UPDATE_INSTANCE_STATE, KIND_RECONCILE, to_value(&ReconcileArguments { id }))
        .priority(PRIORITY_BACKGROUND)
        .unique_key(key)
        .max_attempts(PATIENT)
}

/// Asks one agent, or all that archive a log, to which moments their data services can be restored. On the queue that
/// looks at the world outside, since that of the watcher talks only to instances on which a backup is running.
pub fn refresh_windows(instance: Option<&str>) -> NewJob {
    let arguments = RefreshWindowsArguments { instance: instance.map(str::to_owned) };
    NewJob::new(UPDATE_INSTANCE_STATE, KIND_REFRESH_WINDOWS, to_value(&arguments))
        .unique_key(format!("refresh-windows-{}", instance.unwrap_or("*")))
        // The next scheduled run is the retry.
        .max_attempts(2)
}

/// Unique key of [`start_operation`], with which a waiting operation is woken.
pub fn start_key(kind: OperationKind, id: i64) -> String {
    format!("start-{}-{id}", kind.as_str())
}

/// Unique key of [`check_operation`].
pub fn check_key(kind: OperationKind, id: i64) -> String {
    format!("check-{}-{id}", kind.as_str())
}

/// Cron expressions of the schedules of spec 1.7.
#[derive(Debug, Clone)]
pub struct ScheduleSettings {
    /// When all instances are backed up.
    pub full_backup_repeat: String,
    /// When expired backups are marked.
    pub delete_backup_repeat: String,
    /// When the brokers are asked.
    pub update_instance_state_repeat: String,
    /// When the ledgers are compared; none: only when somebody asks.
    pub reconcile_repeat: Option<String>,
    /// When a sample of backups is rehearsed; none: only when somebody asks.
    pub verify_backup_repeat: Option<String>,
    /// IANA name of the time zone of all.
    pub time_zone: String,
}

/// The schedules the workers declare.
pub fn schedules(settings: &ScheduleSettings) -> Vec<Schedule> {
    let schedule = |name: &str, cron: &str, job: NewJob| Schedule {
        name: name.to_owned(),
        cron: cron.to_owned(),
        time_zone: settings.time_zone.clone(),
        job,
    };
    let reconcile =
        settings.reconcile_repeat.as_ref().map(|cron| schedule("reconcile", cron, reconcile(None)));
    let verify =
        settings.verify_backup_repeat.as_ref().map(|cron| schedule("verify_backup", cron, verify_backups()));
    let always = vec![
        schedule(FULL_BACKUP, &settings.full_backup_repeat, backup_all()),
        schedule(
            "delete_backup_mark",
            &settings.delete_backup_repeat,
            initialize_backup_deletion(DeletionStep::Mark),
        ),
        schedule("refresh_windows", "* * * * *", refresh_windows(None)),
        schedule("delete_backup_remove", "0 * * * *", initialize_backup_deletion(DeletionStep::Remove)),
        schedule("prune_history", "30 * * * *", prune_history()),
        schedule(
            "update_instance_state",
            &settings.update_instance_state_repeat,
            update_instance_state(None),
        ),
    ];
    always.into_iter().chain(reconcile).chain(verify).collect()
}

fn operation_arguments(kind: OperationKind, id: i64) -> Value {
    to_value(&OperationArguments { operation: kind.as_str().to_owned(), id })
}

fn step_word(step: DeletionStep) -> &'static str {
    match step {
        DeletionStep::Mark => "mark",
        DeletionStep::Remove => "remove",
    }
}

/// Serialises arguments made of strings and numbers, which cannot fail.
fn to_value(arguments: &impl Serialize) -> Value {
    serde_json::to_value(arguments).unwrap_or(Value::Null)
}
