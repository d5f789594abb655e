//! The `backup_watcher_job` and the `restore_watcher_job`: ask the agent about a running operation until it has ended.

use std::time::Duration;

use backup_objects::{BackupFolder, Metadata};
use backup_protocol::{CheckOutcome, OperationStatus, RehearsalReport, StopOrder};
use backup_queue::{ClaimedJob, Lease, Outcome, step_aside};
use chrono::{DateTime, Utc};
use tracing::Instrument;

use super::agent_endpoint::{Agent, agent_of};
use super::finish;
use super::places::pass_on;
use crate::clients::PATIENCE;
use crate::clients::agent::AgentError;
use crate::domain::backup::Backup;
use crate::domain::completion;
use crate::domain::dispatch;
use crate::domain::identifiers::{BackupId, RehearsalId, RestoreId};
use crate::domain::operation::{
    Answer, Circumstances, Failure, Operation, OperationKind, Verdict, after_forbidding, judge,
};
use crate::domain::reason::ReasonCode;
use crate::domain::rehearsal::Verdict as RehearsalVerdict;
use crate::error::chain;
use crate::manager::Manager;
use crate::store::backups::Completion;
use crate::store::{self, backups, operations, rehearsals, restores, service_instances};
use crate::{Error, Result, Turn};

/// Metadata of a backup is small; more than this is not metadata.
const LARGEST_METADATA: u64 = 16 << 20;
/// A backup that the agent has finished is not given up for a store that is away for some hours.
const PATIENCE_WITH_STORE: chrono::Duration = chrono::Duration::hours(24);
/// Between two questions while a cancellation is awaited.
const CANCEL_INTERVAL: Duration = Duration::from_secs(1);

/// Asks once; snoozes while the operation runs.
pub async fn check_operation(
    manager: &Manager,
    job: &ClaimedJob,
    kind: OperationKind,
    id: i64,
) -> Result<Outcome> {
    let Some(watched) = look(manager, &job.lease, kind, id).await? else { return Ok(Outcome::Done) };
    let span = finish::span(&watched.operation);
    act(manager, job, watched).instrument(span).await
}

async fn act(manager: &Manager, job: &ClaimedJob, watched: Watched) -> Result<Outcome> {
    let Watched { operation, agent, broker, around } = watched;
    let heard = match turn(manager, &broker, &agent) {
        Ok(_held) => ask(&operation, &agent).await,
        // Not asking leaves the interval, the deadline and the wait for a cancellation as they are.
        Err(note) => Heard { answer: Answer::None(note), newest_epoch: None },
    };
    let verdict = judge(&operation, heard.answer.clone(), around);
    if let Some(newest) = heard.newest_epoch {
        catch_up(manager, &job.lease, &operation, newest).await?;
    }
    let (progress, verdict) = match (verdict, &agent) {
        (Verdict::Forbid, Ok(agent)) => {
            let answer = forbid(manager, &job.lease, agent, &operation).await?;
            (progress(&answer), after_forbidding(&operation, answer, around))
        }
        (verdict, _) => (progress(&heard.answer), verdict),
    };
    match verdict {
        // Only an agent that could be asked can say that it does not know it.
        Verdict::Forbid => wait(manager, &job.lease, &operation, None, None).await,
        Verdict::Wait(note) => wait(manager, &job.lease, &operation, progress, note).await,
        Verdict::Complete(status) => complete(manager, &job.lease, operation, status, around.now).await,
        Verdict::Fail { failure, tell_agent } => {
            if tell_agent && let Ok(agent) = &agent {
                tell(manager, &job.lease, agent, &operation).await?;
            }
            let report = progress.and_then(|status| status.rehearsal);
            fail(manager, &job.lease, operation, failure, report).await
        }
    }
}

/// The right to ask, unless too many others wait for agents of the broker that do not answer.
fn turn(manager: &Manager, broker: &str, agent: &Result<Agent>) -> std::result::Result<Option<Turn>, String> {
    let Ok(agent) = agent else { return Ok(None) };
    let turn = manager.shares().enter(broker, agent.endpoint.url());
    turn.map(Some).map_err(|_| format!("the agents of {broker} do not answer; this one was not asked"))
}

fn progress(answer: &Answer) -> Option<OperationStatus> {
    match answer {
        Answer::Status(status) => Some(status.clone()),
        Answer::Unknown | Answer::None(_) => None,
    }
}

/// Tells the agent to stop. A worker that was overtaken while it waited for the answer must not stop what its successor
/// has found to be well, so the lease is looked at first.
async fn tell(manager: &Manager, lease: &Lease, agent: &Agent, operation: &Operation) -> Result<()> {
    confirm(manager, lease).await?;
    let order = StopOrder { epoch: Some(operation.epoch), unless_begun: false };
    if let Err(error) = agent.client.cancel(&agent.endpoint, operation.kind, &operation.name, order).await {
        tracing::warn!("the agent could not be told to stop: {}", chain(&error));
    }
    Ok(())
}

/// Tells an agent that does not know the operation never to begin it. That does no harm to what has begun meanwhile,
/// also when it arrives late.
async fn forbid(manager: &Manager, lease: &Lease, agent: &Agent, operation: &Operation) -> Result<Answer> {
    confirm(manager, lease).await?;
    let order = StopOrder { epoch: Some(operation.epoch), unless_begun: true };
    let answer = agent.client.cancel(&agent.endpoint, operation.kind, &operation.name, order).await;
    Ok(Heard::from(answer).answer)
}

async fn confirm(manager: &Manager, lease: &Lease) -> Result<()> {
    let lease = lease.clone();
    manager.database.transaction(move |conn| Ok(lease.confirm(conn)?)).await
}

/// The agent refuses orders to stop as too old: the database was set back, and is brought on.
async fn catch_up(manager: &Manager, lease: &Lease, operation: &Operation, newest: i64) -> Result<()> {
    let Some(newest) = dispatch::catch_up(operation, newest) else { return Ok(()) };
    let (lease, kind, id) = (lease.clone(), operation.kind, operation.row);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            operations::update_epoch(conn, kind, id, newest)
        })
        .await
}

struct Watched {
    operation: Operation,
    /// An error when its address or its broker's configuration is gone.
    agent: Result<Agent>,
    broker: String,
    around: Circumstances,
}

async fn look(manager: &Manager, lease: &Lease, kind: OperationKind, id: i64) -> Result<Option<Watched>> {
    let (settings, lease) = (manager.settings(), lease.clone());
    let cancel_wait = to_chrono(manager.policy().cancel_wait);
    let timeout = to_chrono(manager.policy().operation_timeout);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let Some(mut operation) =
                operations::lock(conn, kind, id)?.filter(|found| found.status == "running")
            else {
                return Ok(None);
            };
            let now = store::now(conn)?;
            if operation.adjust_to_clock(now, timeout) {
                operations::update_times(conn, &operation)?;
            }
            let instance = service_instances::get_by_id(conn, operation.instance)?;
            let is_instance_deleted = instance.deleted_at.is_some();
            let around = Circumstances { now, cancel_wait, is_instance_deleted };
            let agent = agent_of(&settings, &instance);
            Ok(Some(Watched { operation, agent, broker: instance.service_broker, around }))
        })
        .await
}

/// What came back from a question.
struct Heard {
    answer: Answer,
    /// The agent has seen newer dispatches than the database knows of.
    newest_epoch: Option<i64>,
}

impl From<std::result::Result<Option<OperationStatus>, AgentError>> for Heard {
    fn from(answer: std::result::Result<Option<OperationStatus>, AgentError>) -> Self {
        let newest_epoch = match &answer {
            Err(AgentError::StaleEpoch { newest }) => *newest,
            _ => None,
        };
        let answer = match answer {
            Ok(Some(status)) => Answer::Status(status),
            Ok(None) => Answer::Unknown,
            Err(error) => Answer::None(chain(&error)),
        };
        Self { answer, newest_epoch }
    }
}

/// A wish to cancel is sent with every question until the operation has ended; that is idempotent at the agent.
async fn ask(operation: &Operation, agent: &Result<Agent>) -> Heard {
    let agent = match agent {
        Ok(agent) => agent,
        Err(error) => return Heard { answer: Answer::None(error.chain()), newest_epoch: None },
    };
    let (kind, name) = (operation.kind, operation.name.as_str());
    if operation.cancel_requested_at.is_some() {
        let order = StopOrder { epoch: Some(operation.epoch), unless_begun: false };
        agent.client.cancel(&agent.endpoint, kind, name, order).await.into()
    } else {
        agent.client.status(&agent.endpoint, kind, name).await.into()
    }
}

async fn wait(
    manager: &Manager,
    lease: &Lease,
    operation: &Operation,
    progress: Option<OperationStatus>,
    note: Option<String>,
) -> Result<Outcome> {
    let interval = match operation.cancel_requested_at {
        Some(_) => CANCEL_INTERVAL.min(manager.policy().watch_interval),
        None => manager.policy().watch_interval,
    };
    match (&operation.msg, &note) {
        (None, Some(note)) => tracing::warn!("{note}"),
        (Some(_), None) => tracing::info!("the agent answers again"),
        _ => {}
    }
    let (lease, kind, id) = (lease.clone(), operation.kind, operation.row);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let bytes =
                progress.map(|status| (plain_bytes(kind, &status), status.total_bytes_estimate.map(to_i64)));
            operations::update_progress(conn, kind, id, bytes, note.as_deref())
        })
        .await?;
    Ok(Outcome::Snooze(interval))
}

/// `report`: what a rehearsal found that has failed because of it.
async fn fail(
    manager: &Manager,
    lease: &Lease,
    operation: Operation,
    failure: Failure,
    report: Option<Box<RehearsalReport>>,
) -> Result<Outcome> {
    let (lease, kind) = (lease.clone(), operation.kind);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            if is_running(operations::lock(conn, operation.kind, operation.row)?) {
                if let Some(report) = report.filter(|_| operation.kind == OperationKind::Rehearsal) {
                    rehearsals::update_report(conn, RehearsalId(operation.row), &report)?;
                }
                finish::fail(conn, &operation, &failure)?;
            }
            Ok(())
        })
        .await?;
    pass_on(manager, kind).await;
    Ok(Outcome::Done)
}

async fn complete(
    manager: &Manager,
    lease: &Lease,
    operation: Operation,
    status: OperationStatus,
    now: DateTime<Utc>,
) -> Result<Outcome> {
    let completion = match operation.kind {
        OperationKind::Restore => None,
        OperationKind::Rehearsal => return complete_rehearsal(manager, lease, operation, status).await,
        OperationKind::Backup => {
            let id = BackupId(operation.row);
            let backup = manager.database.transaction(move |conn| backups::get(conn, id)).await?;
            match step_aside(PATIENCE, verify(manager, &backup, &status)).await {
                Ok(completion) => Some(completion),
                Err(Unverified::Wrong(msg)) => {
                    let failure = Failure::new(ReasonCode::ArtifactIncomplete, msg);
                    return fail(manager, lease, operation, failure, None).await;
                }
                Err(Unverified::Unknown(error))
                    if operation.deadline_at.is_some_and(|deadline| now > deadline + PATIENCE_WITH_STORE) =>
                {
                    let failure = Failure::new(ReasonCode::StoreError, error.chain());
                    return fail(manager, lease, operation, failure, None).await;
                }
                Err(Unverified::Unknown(error)) => {
                    let note = format!("the agent is done; the store cannot be asked: {}", error.chain());
                    return wait(manager, lease, &operation, Some(status), Some(note)).await;
                }
            }
        }
    };
    let (lease, kind) = (lease.clone(), operation.kind);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            if !is_running(operations::lock(conn, operation.kind, operation.row)?) {
                return Ok(());
            }
            match &completion {
                Some(completion) => {
                    backups::update_done(conn, BackupId(operation.row), completion)?;
                    service_instances::update_last_done(conn, operation.instance)?;
                }
                None => restores::update_done(
                    conn,
                    RestoreId(operation.row),
                    plain_bytes(operation.kind, &status),
                )?,
            }
            tracing::info!("operation done");
            finish::wake_next(conn, operation.instance)
        })
        .await?;
    pass_on(manager, kind).await;
    Ok(Outcome::Done)
}

/// A rehearsal without a report, or with a check that failed, says nothing good of the backup, whatever its agent calls it.
async fn complete_rehearsal(
    manager: &Manager,
    lease: &Lease,
    operation: Operation,
    status: OperationStatus,
) -> Result<Outcome> {
    let bytes_processed = plain_bytes(operation.kind, &status);
    let Some(report) = status.rehearsal else {
        let failure = Failure::new(ReasonCode::NotSupported, "the agent is done, but reports nothing");
        return fail(manager, lease, operation, failure, None).await;
    };
    if report.checks.iter().any(|check| check.outcome == CheckOutcome::Failed) {
        let failure =
            Failure::new(ReasonCode::CheckFailed, "the agent calls it done, but a check has failed");
        return fail(manager, lease, operation, failure, Some(report)).await;
    }
    let lease = lease.clone();
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            if !is_running(operations::lock(conn, operation.kind, operation.row)?) {
                return Ok(());
            }
            let id = RehearsalId(operation.row);
            rehearsals::update_report(conn, id, &report)?;
            rehearsals::update_done(conn, id, bytes_processed)?;
            rehearsals::update_verdict(conn, id, RehearsalVerdict::Passed)?;
            tracing::info!(restore_ms = report.restore_ms, "the backup is verified");
            finish::wake_next(conn, operation.instance)
        })
        .await?;
    Ok(Outcome::Done)
}

enum Unverified {
    /// The store does not hold what the agent says it stored.
    Wrong(String),
    /// The store could not be asked.
    Unknown(Error),
}

/// The completion contract of spec 1.4: size, checksum, and objects of exactly the reported sizes in the store.
async fn verify(
    manager: &Manager,
    backup: &Backup,
    status: &OperationStatus,
) -> std::result::Result<Completion, Unverified> {
    let wrong = |msg: String| Unverified::Wrong(msg);
    let store = manager.store(&backup.store).map_err(Unverified::Unknown)?;
    let folder = BackupFolder::parse(&backup.object_prefix, &backup.backup_id)
        .map_err(|error| wrong(error.to_string()))?;
    if let Some(fault) = completion::fault(status) {
        return Err(wrong(format!("the agent reported success, but {fault}")));
    }
    let checksum = status.checksum.clone().unwrap_or_default();
    let size: u64 = status.parts.iter().map(|part| part.size).sum();
    for part in &status.parts {
        let path = folder.part(&part.name).map_err(|error| wrong(error.to_string()))?;
        match store.size(&path).await.map_err(|error| Unverified::Unknown(error.into()))? {
            Some(found) if found == part.size => {}
            Some(found) => {
                return Err(wrong(format!(
                    "{path} has {found} bytes in the store, {} were reported",
                    part.size
                )));
            }
            None => return Err(wrong(format!("{path} is not in the store"))),
        }
    }
    let path = folder.metadata();
    if store.size(&path).await.map_err(|error| Unverified::Unknown(error.into()))?.is_none() {
        return Err(wrong(format!("{path} is not in the store")));
    }
    let bytes =
        store.get_bytes(&path, LARGEST_METADATA).await.map_err(|error| Unverified::Unknown(error.into()))?;
    let metadata = Metadata::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    if metadata.backup_id != backup.backup_id
        || metadata.parts != status.parts
        || metadata.checksum != checksum
    {
        return Err(wrong(format!("{path} does not say what the agent reported")));
    }
    Ok(Completion {
        size: to_i64(size),
        checksum,
        filter_plugins: status.filter_plugins.clone(),
        bytes_processed: plain_bytes(OperationKind::Backup, status),
    })
}

fn is_running(operation: Option<Operation>) -> bool {
    operation.is_some_and(|found| found.status == "running")
}

/// Bytes on the data service's side, before compression and encryption.
fn plain_bytes(kind: OperationKind, status: &OperationStatus) -> i64 {
    to_i64(match kind {
        OperationKind::Backup => status.bytes_read,
        OperationKind::Restore | OperationKind::Rehearsal => status.bytes_stored,
    })
}

fn to_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn to_chrono(duration: Duration) -> chrono::Duration {
    chrono::Duration::from_std(duration).unwrap_or(chrono::Duration::MAX)
}
