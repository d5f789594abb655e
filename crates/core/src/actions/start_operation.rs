//! The `backup_agent_backups` job: prepares what the agent needs and sends the request, for a backup or a restore.
//!
//! The operation's name, epoch and deadline are in the database before the first call, and starting is idempotent at
//! the agent; so a lost answer, a killed worker or a second run of the job ends in the same one operation.

use std::time::Duration;

use backup_protocol::{
    Compression, CompressionScheme, Encryption, EncryptionScheme, InstanceRef, StartBackup, StartRestore,
};
use backup_queue::{ClaimedJob, Outcome};
use diesel::PgConnection;
use secrecy::ExposeSecret;
use tracing::Instrument;

use super::agent_endpoint::{Agent, agent_of};
use super::finish;
use crate::clients::agent::AgentError;
use crate::domain::identifiers::{BackupId, RestoreId};
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::{Failure, Operation, OperationKind};
use crate::domain::reason::ReasonCode;
use crate::error::chain;
use crate::manager::{Manager, Settings};
use crate::store::{self, backups, encryption_keys, operations, restores, service_instances};
use crate::{Error, Result, jobs};

/// How long an operation waits that another one of its instance holds up; the end of the other wakes it earlier.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// How long a busy agent is left alone if it does not say.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// However short a busy agent wants it: others of its group shall have their turn.
const SHORTEST_BUSY_WAIT: Duration = Duration::from_secs(1);
/// How long an operation waits at least that the fleet's limit holds up.
const LIMIT_WAIT: Duration = Duration::from_secs(15);
/// The first look at a new operation comes soon, so that short ones end soon.
const FIRST_CHECK: Duration = Duration::from_secs(1);

/// Sends one queued operation to its agent.
pub async fn start_operation(
    manager: &Manager,
    job: &ClaimedJob,
    kind: OperationKind,
    id: i64,
) -> Result<Outcome> {
    let (settings, claimed) = (manager.settings(), job.clone());
    let step = manager
        .database
        .transaction(move |conn| {
            claimed.lease.confirm(conn)?;
            prepare(conn, &settings, &claimed, kind, id)
        })
        .await?;
    let dispatch = match step {
        Step::Settled => return Ok(Outcome::Done),
        Step::WaitFor(delay) => return Ok(Outcome::Snooze(delay)),
        Step::Send(dispatch) => *dispatch,
    };
    let span = finish::span(&dispatch.operation);
    send(manager, job, dispatch).instrument(span).await
}

/// Sends the request and records what came of it.
async fn send(manager: &Manager, job: &ClaimedJob, dispatch: Dispatch) -> Result<Outcome> {
    let Dispatch { operation, agent, request } = &dispatch;
    let answer = match request {
        Request::Backup(body) => agent.client.start_backup(&agent.endpoint, &operation.name, body).await,
        Request::Restore(body) => agent.client.start_restore(&agent.endpoint, &operation.name, body).await,
    };
    let is_last_attempt = job.attempt >= job.max_attempts;
    match answer {
        Ok(_) => {
            conclude(manager, job, &dispatch, Conclusion::Accepted).await?;
            tracing::info!("the agent accepted the operation");
            Ok(Outcome::Done)
        }
        Err(AgentError::Busy { retry_after }) => {
            conclude(manager, job, &dispatch, Conclusion::NotDelivered("the agent is busy".into())).await?;
            Ok(Outcome::Snooze(retry_after.unwrap_or(BUSY_WAIT).max(SHORTEST_BUSY_WAIT)))
        }
        // A stale epoch means that a newer dispatch is on its way, or that the database was set back: the next epoch
        // is higher in both cases.
        Err(AgentError::OtherOperationRunning { .. } | AgentError::StaleEpoch) => {
            Ok(Outcome::Snooze(BUSY_WAIT))
        }
        Err(error @ AgentError::Rejected { .. }) => {
            let failure = Failure::new(ReasonCode::AgentRejected, chain(&error));
            conclude(manager, job, &dispatch, Conclusion::Failed(failure)).await?;
            Ok(Outcome::Done)
        }
        Err(error) => {
            let is_undelivered = error.is_undelivered() && !operation.may_be_at_agent;
            match (is_last_attempt, is_undelivered) {
                (false, true) => {
                    conclude(manager, job, &dispatch, Conclusion::NotDelivered(chain(&error))).await?
                }
                (false, false) => {}
                (true, true) => {
                    let failure = Failure::new(ReasonCode::AgentUnreachable, chain(&error));
                    conclude(manager, job, &dispatch, Conclusion::Failed(failure)).await?;
                }
                // The agent may be at work on it: the watcher finds out.
                (true, false) => {
                    conclude(manager, job, &dispatch, Conclusion::Unknown(chain(&error))).await?
                }
            }
            if is_last_attempt { Ok(Outcome::Done) } else { Err(error.into()) }
        }
    }
}

/// What was decided in the first transaction.
enum Step {
    /// Nothing is left to do here: it runs, it has ended, or it was removed.
    Settled,
    /// It is not this operation's turn.
    WaitFor(Duration),
    /// Send it.
    Send(Box<Dispatch>),
}

struct Dispatch {
    /// As it was before this dispatch: `may_be_at_agent` speaks of the earlier ones.
    operation: Operation,
    agent: Agent,
    request: Request,
}

enum Request {
    Backup(StartBackup),
    Restore(StartRestore),
}

fn prepare(
    conn: &mut PgConnection,
    settings: &Settings,
    job: &ClaimedJob,
    kind: OperationKind,
    id: i64,
) -> Result<Step> {
    let Some(operation) = operations::lock(conn, kind, id)? else { return Ok(Step::Settled) };
    if operation.status == "running" {
        // The watcher may be missing if an older program or an operator's hand was here.
        backup_queue::enqueue(conn, &jobs::check_operation(kind, id, Duration::ZERO))?;
    }
    if operation.status != "queued" {
        return Ok(Step::Settled);
    }
    let now = store::now(conn)?;
    let instance = service_instances::get_by_id(conn, operation.instance)?;
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
        return withdraw(conn, &operation, &failure);
    }
    if operations::is_blocked(conn, &operation)? {
        let note = Some("waits for another operation of the instance");
        operations::update_progress(conn, kind, id, None, note)?;
        return Ok(Step::WaitFor(TURN_WAIT));
    }
    if let (OperationKind::Backup, Some(limit)) = (kind, settings.policy.running_backups)
        && !operation.may_be_at_agent
        && operations::count_running_backups(conn)? >= limit
    {
        operations::update_progress(conn, kind, id, None, Some("waits for the limit of running backups"))?;
        // Spread, so that a fleet that waits does not ask in step.
        return Ok(Step::WaitFor(LIMIT_WAIT + Duration::from_millis(id.unsigned_abs() % 15_000)));
    }
    let prepared = agent_of(settings, &instance)
        .and_then(|agent| Ok((agent, request(conn, settings, &operation, &instance)?)));
    let (agent, mut request) = match prepared {
        Ok(prepared) => prepared,
        // Daemons are restarted one by one: what one does not know yet, another may. In the end it is a failure.
        Err(error @ (Error::NotConfigured { .. } | Error::AgentUnknown(_) | Error::Cipher(_)))
            if job.attempt >= job.max_attempts =>
        {
            return withdraw(conn, &operation, &Failure::from(&error));
        }
        Err(error) => return Err(error),
    };
    let deadline = now + settings.policy.operation_timeout;
    let (epoch, deadline) = operations::update_dispatch(conn, kind, id, deadline)?;
    match &mut request {
        Request::Backup(body) => (body.epoch, body.deadline) = (epoch, deadline),
        Request::Restore(body) => (body.epoch, body.deadline) = (epoch, deadline),
    }
    Ok(Step::Send(Box::new(Dispatch { operation, agent, request })))
}

/// It will not be sent (again). What an earlier dispatch may have brought to the agent is the watcher's to end: it
/// tells the agent, and knows what to make of silence.
fn withdraw(conn: &mut PgConnection, operation: &Operation, failure: &Failure) -> Result<Step> {
    if !operation.may_be_at_agent {
        finish::fail(conn, operation, failure)?;
        return Ok(Step::Settled);
    }
    match watch(conn, operation, Some(&failure.msg)) {
        Err(Error::InstanceBusy) => Ok(Step::WaitFor(TURN_WAIT)),
        watched => watched.map(|()| Step::Settled),
    }
}

/// What came of a dispatch.
enum Conclusion {
    /// The agent has it.
    Accepted,
    /// The agent may have it; the text says why nobody knows.
    Unknown(String),
    /// The agent does not have it, and it will be tried again; the text says why.
    NotDelivered(String),
    /// The agent does not have it, and it will not be tried again.
    Failed(Failure),
}

/// Records it, unless the operation has moved on meanwhile.
async fn conclude(
    manager: &Manager,
    job: &ClaimedJob,
    dispatch: &Dispatch,
    conclusion: Conclusion,
) -> Result<()> {
    let (lease, operation) = (job.lease.clone(), dispatch.operation.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let (kind, id) = (operation.kind, operation.row);
            if operations::lock(conn, kind, id)?.is_none_or(|now| now.status != "queued") {
                return Ok(());
            }
            match conclusion {
                Conclusion::Accepted => watch(conn, &operation, None),
                Conclusion::Unknown(why) => watch(conn, &operation, Some(&why)),
                Conclusion::NotDelivered(why) => {
                    operations::update_progress(
                        conn,
                        kind,
                        id,
                        None,
                        Some(&format!("will be tried again: {why}")),
                    )?;
                    if operation.may_be_at_agent {
                        Ok(())
                    } else {
                        operations::update_not_at_agent(conn, kind, id)
                    }
                }
                Conclusion::Failed(failure) => finish::fail(conn, &operation, &failure),
            }
        })
        .await
}

/// `running`, and a watcher that asks soon.
fn watch(conn: &mut PgConnection, operation: &Operation, note: Option<&str>) -> Result<()> {
    operations::update_running(conn, operation.kind, operation.row)?;
    if note.is_some() {
        operations::update_progress(conn, operation.kind, operation.row, None, note)?;
    }
    backup_queue::enqueue(conn, &jobs::check_operation(operation.kind, operation.row, FIRST_CHECK))?;
    Ok(())
}

/// The body of the request; epoch and deadline are filled in when they are fixed.
fn request(
    conn: &mut PgConnection,
    settings: &Settings,
    operation: &Operation,
    target: &ServiceInstance,
) -> Result<Request> {
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
            compression: Compression {
                scheme: CompressionScheme::Zstd,
                level: settings.policy.compression_level,
            },
            rate_limit_bytes_per_second: None,
            deadline: operation.triggered_at,
            part_size_limit: settings.policy.part_size_limit,
        }),
        OperationKind::Restore => Request::Restore(StartRestore {
            epoch: operation.epoch,
            backup_id: backup.backup_id,
            store: backup.store,
            object_prefix: backup.object_prefix,
            checksum: backup
                .checksum
                .ok_or_else(|| Error::Internal("a done backup has no checksum".into()))?,
            encryption,
            deadline: operation.triggered_at,
        }),
    })
}
