//! The `backup_agent_backups` job: prepares what the agent needs and sends the request, for a backup or a restore.
//!
//! The operation's name, epoch and deadline are in the database before the first call, and starting is idempotent at
//! the agent; so a lost answer, a killed worker or a second run of the job ends in the same one operation.

use std::time::Duration;

use backup_protocol::{
    Compression, CompressionScheme, Encryption, EncryptionScheme, InstanceRef, OperationStatus, StartBackup, StartRestore,
};
use backup_queue::{ClaimedJob, Outcome};
use diesel::PgConnection;
use secrecy::ExposeSecret;

use super::agent_endpoint::{Agent, agent_of};
use super::finish;
use crate::clients::agent::AgentError;
use crate::domain::identifiers::{BackupId, RestoreId};
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::{Failure, Operation, OperationKind};
use crate::domain::reason::ReasonCode;
use crate::manager::{Manager, Settings};
use crate::store::{self, backups, encryption_keys, operations, restores, service_instances};
use crate::{Error, Result, jobs};

/// How long an operation waits that another one of its instance, or a limit, holds up. The end of the other wakes it.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// How long a busy agent is left alone if it does not say.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// The first look at a new operation comes soon, so that short ones end soon.
const FIRST_CHECK: Duration = Duration::from_secs(1);

/// Sends one queued operation to its agent.
pub async fn start_operation(manager: &Manager, job: &ClaimedJob, kind: OperationKind, id: i64) -> Result<Outcome> {
    let (settings, lease) = (manager.settings(), job.lease.clone());
    let step = manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            prepare(conn, &settings, kind, id)
        })
        .await?;
    let dispatch = match step {
        Step::Ended => return Ok(Outcome::Done),
        Step::WaitFor(delay) => return Ok(Outcome::Snooze(delay)),
        Step::Withdraw(Withdrawal { operation, agent, failure }) => {
            return end(manager, job, &operation, agent.as_ref(), failure).await;
        }
        Step::Send(dispatch) => dispatch,
    };
    let Dispatch { operation, agent, request } = *dispatch;
    let answer = match &request {
        Request::Backup(body) => agent.client.start_backup(&agent.endpoint, &operation.name, body).await,
        Request::Restore(body) => agent.client.start_restore(&agent.endpoint, &operation.name, body).await,
    };
    match answer {
        Ok(status) => accept(manager, job, operation, status).await,
        Err(AgentError::Busy { retry_after }) => Ok(Outcome::Snooze(retry_after.unwrap_or(BUSY_WAIT))),
        // A stale epoch means that a newer dispatch is on its way, or that the database was set back: the next epoch
        // is higher in both cases.
        Err(AgentError::OtherOperationRunning { .. } | AgentError::StaleEpoch) => Ok(Outcome::Snooze(BUSY_WAIT)),
        Err(error) if error.is_retryable() && job.attempt < job.max_attempts => Err(error.into()),
        Err(error) => {
            let failure = Failure::new(reason_of(&error), describe(&error));
            end(manager, job, &operation, Some(&agent), failure).await
        }
    }
}

/// What is to be done, decided in one transaction.
enum Step {
    /// Nothing: it has been started, has ended, or was removed.
    Ended,
    /// It is not this operation's turn.
    WaitFor(Duration),
    /// It will not be sent (again); an earlier dispatch may have reached the agent.
    Withdraw(Withdrawal),
    /// Send it.
    Send(Box<Dispatch>),
}

struct Withdrawal {
    operation: Operation,
    /// None when nothing was ever sent, or nobody knows where.
    agent: Option<Agent>,
    failure: Failure,
}

struct Dispatch {
    operation: Operation,
    agent: Agent,
    request: Request,
}

enum Request {
    Backup(StartBackup),
    Restore(StartRestore),
}

fn prepare(conn: &mut PgConnection, settings: &Settings, kind: OperationKind, id: i64) -> Result<Step> {
    let Some(mut operation) = operations::lock(conn, kind, id)? else { return Ok(Step::Ended) };
    if operation.status == "running" {
        // The watcher may be missing if an older program or an operator's hand was here.
        backup_queue::enqueue(conn, &jobs::check_operation(kind, id, Duration::ZERO))?;
        return Ok(Step::Ended);
    }
    if operation.status != "queued" {
        return Ok(Step::Ended);
    }
    let now = store::now(conn)?;
    let instance = service_instances::get_by_id(conn, operation.instance)?;
    let agent = agent_of(settings, &instance);
    let withdrawal = if operation.cancel_requested_at.is_some() {
        Some(Failure::new(ReasonCode::Cancelled, "cancelled before the agent had accepted it"))
    } else if instance.deleted_at.is_some() {
        Some(Failure::new(ReasonCode::InstanceDeleted, "the instance was deleted before the work began"))
    } else if operation.deadline_at.is_some_and(|deadline| now > deadline) {
        Some(Failure::new(ReasonCode::TimedOut, "the agent had not accepted it at the deadline"))
    } else {
        None
    };
    if let Some(failure) = withdrawal {
        let agent = agent.ok().filter(|_| operation.epoch > 0);
        return Ok(Step::Withdraw(Withdrawal { operation, agent, failure }));
    }
    let is_full = match settings.policy.running_backups {
        Some(limit) => operations::count_running(conn)? >= limit,
        None => false,
    };
    if is_full || operations::is_blocked(conn, &operation)? {
        return Ok(Step::WaitFor(TURN_WAIT));
    }
    let prepared = agent.and_then(|agent| Ok((agent, request(conn, settings, &operation, &instance)?)));
    let (agent, mut request) = match prepared {
        Ok(prepared) => prepared,
        // Waiting does not bring back what left the configuration; an outage of the database is something else.
        Err(error @ (Error::NotConfigured { .. } | Error::AgentUnknown(_) | Error::Cipher(_))) => {
            return Ok(Step::Withdraw(Withdrawal { operation, agent: None, failure: Failure::from(&error) }));
        }
        Err(error) => return Err(error),
    };
    let deadline = now + settings.policy.operation_timeout;
    let (epoch, deadline) = operations::update_dispatch(conn, kind, id, deadline)?;
    operation.epoch = epoch;
    match &mut request {
        Request::Backup(body) => (body.epoch, body.deadline) = (epoch, deadline),
        Request::Restore(body) => (body.epoch, body.deadline) = (epoch, deadline),
    }
    Ok(Step::Send(Box::new(Dispatch { operation, agent, request })))
}

/// The body of the request; epoch and deadline are filled in when they are fixed.
fn request(conn: &mut PgConnection, settings: &Settings, operation: &Operation, target: &ServiceInstance) -> Result<Request> {
    let row = match operation.kind {
        OperationKind::Backup => BackupId(operation.row),
        OperationKind::Restore => restores::get(conn, RestoreId(operation.row))?.backup,
    };
    let backup = backups::get(conn, row)?;
    if !settings.stores.contains_key(&backup.store) {
        return Err(Error::NotConfigured { what: "store", name: backup.store });
    }
    let owner = service_instances::get_by_id(conn, backup.instance)?;
    let key = encryption_keys::get(conn, &settings.key_ring, backup.encryption_key, &owner.guid)?;
    let encryption = Encryption {
        scheme: EncryptionScheme::Age,
        key: key.expose_secret().to_owned(),
        key_id: backup.encryption_key.to_string(),
    };
    Ok(match operation.kind {
        OperationKind::Backup => Request::Backup(StartBackup {
            epoch: operation.epoch,
            store: backup.store,
            object_prefix: backup.object_prefix,
            instance: InstanceRef {
                guid: target.guid.to_string(),
                data_service: target.data_service.clone(),
                plan_guid: target.plan_guid.clone(),
            },
            encryption,
            compression: Compression { scheme: CompressionScheme::Zstd, level: settings.policy.compression_level },
            rate_limit_bytes_per_second: None,
            deadline: operation.triggered_at,
            part_size_limit: settings.policy.part_size_limit,
        }),
        OperationKind::Restore => Request::Restore(StartRestore {
            epoch: operation.epoch,
            backup_id: backup.backup_id,
            store: backup.store,
            object_prefix: backup.object_prefix,
            checksum: backup.checksum.ok_or_else(|| Error::Internal("a done backup has no checksum".into()))?,
            encryption,
            deadline: operation.triggered_at,
        }),
    })
}

/// The agent has it: `running`, and a watcher.
async fn accept(manager: &Manager, job: &ClaimedJob, operation: Operation, status: OperationStatus) -> Result<Outcome> {
    let (lease, kind, id) = (job.lease.clone(), operation.kind, operation.row);
    let first_check = FIRST_CHECK.min(manager.policy().watch_interval);
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let still_queued = operations::lock(conn, kind, id)?.is_some_and(|now| now.status == "queued");
            if still_queued {
                operations::update_running(conn, kind, id)?;
                backup_queue::enqueue(conn, &jobs::check_operation(kind, id, first_check))?;
            }
            Ok(())
        })
        .await?;
    tracing::info!(operation = kind.as_str(), id, epoch = status.epoch, "the agent accepted the operation");
    Ok(Outcome::Done)
}

/// Ends an operation that was never seen running. An agent that may have heard of it is told to forget it first, so
/// that no work goes on after it was declared failed; the agent's deadline is the last safeguard.
async fn end(
    manager: &Manager,
    job: &ClaimedJob,
    operation: &Operation,
    agent: Option<&Agent>,
    failure: Failure,
) -> Result<Outcome> {
    if let Some(agent) = agent
        && let Err(error) = agent.client.cancel(&agent.endpoint, operation.kind, &operation.name).await
    {
        tracing::warn!(id = operation.row, "the agent could not be told to stop: {error}");
    }
    let (lease, operation) = (job.lease.clone(), operation.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let still_queued =
                operations::lock(conn, operation.kind, operation.row)?.is_some_and(|now| now.status == "queued");
            if still_queued {
                finish::fail(conn, &operation, &failure)?;
            }
            Ok(())
        })
        .await?;
    Ok(Outcome::Done)
}

fn reason_of(error: &AgentError) -> ReasonCode {
    match error {
        AgentError::Rejected { .. } => ReasonCode::AgentRejected,
        AgentError::Protocol { .. } => ReasonCode::AgentError,
        _ => ReasonCode::AgentUnreachable,
    }
}

/// The error with its causes, in one line.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
