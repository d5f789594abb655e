//! The `backup_agent_backups` job: prepares what the agent needs and sends the request, for a backup, a restore or a rehearsal.
//!
//! The operation's name, epoch and deadline are in the database before the first call, and starting is idempotent at
//! the agent; so a lost answer, a killed worker or a second run of the job ends in the same one operation.

use std::time::Duration;

use backup_protocol::{Encryption, InstanceRef, OperationStatus, StartBackup, StartRehearsal, StartRestore};
use backup_queue::{ClaimedJob, Outcome};
use diesel::{Connection, PgConnection};
use secrecy::ExposeSecret;
use tracing::Instrument;

use super::agent_endpoint::{Agent, agent_of};
use super::finish;
use crate::clients::agent::AgentError;
use crate::domain::backup::Backup;
use crate::domain::dispatch::{self, Conclusion, Facts, Next, Room, StartAnswer, Step};
use crate::domain::identifiers::{BackupId, RehearsalId, RestoreId};
use crate::domain::instance::ServiceInstance;
use crate::domain::key_envelope::KeyEnvelope;
use crate::domain::operation::{Failure, Operation, OperationKind};
use crate::domain::reason::ReasonCode;
use crate::domain::stored_form::{StoredForm, encryption_of};
use crate::error::chain;
use crate::manager::{Manager, Settings};
use crate::store::{
    self, backups, encryption_keys, operations, pitr, rehearsals, restores, service_instances,
};
use crate::{Error, Result, Shares, Turn, jobs};

/// How long an operation waits that another one of its instance holds up; the end of the other wakes it earlier.
const TURN_WAIT: Duration = Duration::from_secs(5);
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
    let (settings, shares, claimed) = (manager.settings(), manager.shares().clone(), job.clone());
    let prepared = manager
        .database
        .transaction(move |conn| {
            claimed.lease.confirm(conn)?;
            prepare(conn, &settings, &shares, &claimed, kind, id)
        })
        .await?;
    let dispatch = match prepared {
        Prepared::Settled => return Ok(Outcome::Done),
        Prepared::WaitFor(delay) => return Ok(Outcome::Snooze(delay)),
        Prepared::Send(dispatch) => *dispatch,
    };
    let span = finish::span(&dispatch.operation);
    send(manager, job, dispatch).instrument(span).await
}

/// Sends the request and records what came of it.
async fn send(manager: &Manager, job: &ClaimedJob, dispatch: Dispatch) -> Result<Outcome> {
    let Dispatch { operation, agent, request, turn: _held } = &dispatch;
    let answer = match request {
        Request::Backup(body) => match check_ability(agent, body).await {
            Ok(()) => agent.client.start_backup(&agent.endpoint, &operation.name, body).await,
            Err(error) => Err(error),
        },
        Request::Restore(body) => agent.client.start_restore(&agent.endpoint, &operation.name, body).await,
        Request::Rehearsal(body) => {
            match agent.client.start_rehearsal(&agent.endpoint, &operation.name, body).await {
                Ok(None) => return cannot_rehearse(manager, job, &dispatch).await,
                Ok(Some(status)) => Ok(status),
                Err(error) => Err(error),
            }
        }
    };
    let is_last_attempt = job.attempt >= job.max_attempts;
    let (conclusion, next) = dispatch::after(operation, meaning(&answer), is_last_attempt);
    let is_accepted = conclusion == Some(Conclusion::Accepted);
    if let Some(conclusion) = conclusion
        && !conclude(manager, job, &dispatch, conclusion).await?
    {
        return Ok(Outcome::Snooze(TURN_WAIT));
    }
    if is_accepted {
        tracing::info!("the agent accepted the operation");
    }
    match (next, answer) {
        (Next::Snooze(delay), _) => Ok(Outcome::Snooze(delay)),
        (Next::Retry, Err(error)) => Err(error.into()),
        (Next::Retry | Next::Done, _) => Ok(Outcome::Done),
    }
}

/// The agent says by itself that it cannot, so it will not begin the rehearsal either.
async fn cannot_rehearse(manager: &Manager, job: &ClaimedJob, dispatch: &Dispatch) -> Result<Outcome> {
    let msg = "the agent cannot rehearse backups of this data service";
    let conclusion = Conclusion::Failed(Failure::new(ReasonCode::NotSupported, msg));
    conclude(manager, job, dispatch, conclusion).await?;
    Ok(Outcome::Done)
}

/// An agent that is older than the types of backups would ignore the wish and make another one.
async fn check_ability(agent: &Agent, body: &StartBackup) -> std::result::Result<(), AgentError> {
    let Some(wanted) = &body.backup_type else { return Ok(()) };
    let info = agent.client.info(&agent.endpoint).await?;
    match info.capabilities.contains(wanted) {
        true => Ok(()),
        false => Err(AgentError::unable(wanted)),
    }
}

/// The answer in the words of the decision.
fn meaning(answer: &std::result::Result<OperationStatus, AgentError>) -> StartAnswer {
    match answer {
        Ok(_) => StartAnswer::Accepted,
        Err(AgentError::Busy { retry_after }) => StartAnswer::Busy { retry_after: *retry_after },
        Err(AgentError::OtherOperationRunning { .. }) => StartAnswer::OtherOperationRunning,
        Err(AgentError::StaleEpoch { newest }) => StartAnswer::StaleEpoch { newest: *newest },
        Err(error @ AgentError::Rejected { .. }) => StartAnswer::Rejected(chain(error)),
        Err(error) if error.is_undelivered() => StartAnswer::Undelivered(chain(error)),
        Err(error) => StartAnswer::Lost(chain(error)),
    }
}

/// What the first transaction left to do.
enum Prepared {
    /// Nothing: it runs, it has ended, or it was removed.
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
    /// Held until the agent has answered.
    turn: Turn,
}

enum Request {
    Backup(StartBackup),
    Restore(StartRestore),
    Rehearsal(StartRehearsal),
}

fn prepare(
    conn: &mut PgConnection,
    settings: &Settings,
    shares: &Shares,
    job: &ClaimedJob,
    kind: OperationKind,
    id: i64,
) -> Result<Prepared> {
    let Some(operation) = operations::lock(conn, kind, id)? else { return Ok(Prepared::Settled) };
    let instance = service_instances::get_by_id(conn, operation.instance)?;
    let facts = Facts {
        now: store::now(conn)?,
        is_instance_deleted: instance.deleted_at.is_some(),
        room: room(conn, settings, &operation)?,
    };
    match dispatch::before(&operation, &facts) {
        Step::Send => {}
        Step::Wait(hindrance) => return wait(conn, &operation, hindrance),
        other => return settle(conn, &operation, other),
    }
    let prepared = agent_of(settings, &instance).and_then(|agent| {
        let request = request(conn, settings, &operation, &instance, agent.form)?;
        Ok((agent, request))
    });
    let (agent, mut request) = match prepared {
        Ok(prepared) => prepared,
        // Daemons are restarted one by one: what one does not know yet, another may. In the end it is a failure.
        Err(error @ (Error::NotConfigured { .. } | Error::AgentUnknown(_) | Error::Cipher(_)))
            if job.attempt >= job.max_attempts =>
        {
            let step = dispatch::withdraw(&operation, Failure::from(&error));
            return settle(conn, &operation, step);
        }
        Err(error) => return Err(error),
    };
    let turn = match shares.enter(&instance.service_broker, agent.endpoint.url()) {
        Ok(turn) => turn,
        Err(delay) => return Ok(Prepared::WaitFor(delay)),
    };
    let deadline = facts.now + settings.policy.operation_timeout;
    let (epoch, deadline) = operations::update_dispatch(conn, kind, id, deadline)?;
    match &mut request {
        Request::Backup(body) => (body.epoch, body.deadline) = (epoch, deadline),
        Request::Restore(body) => (body.epoch, body.deadline) = (epoch, deadline),
        Request::Rehearsal(body) => (body.epoch, body.deadline) = (epoch, deadline),
    }
    Ok(Prepared::Send(Box::new(Dispatch { operation, agent, request, turn })))
}

/// Asked for queued operations only; the fleet is counted only where its limit could matter.
fn room(conn: &mut PgConnection, settings: &Settings, operation: &Operation) -> Result<Room> {
    if operation.status != "queued" {
        return Ok(Room::Free);
    }
    if operations::is_blocked(conn, operation)? {
        return Ok(Room::InstanceBusy);
    }
    match (operation.kind, settings.policy.running_backups) {
        (OperationKind::Backup, Some(limit))
            if !operation.may_be_at_agent && operations::count_running_backups(conn)? >= limit =>
        {
            Ok(Room::FleetFull)
        }
        _ => Ok(Room::Free),
    }
}

fn wait(conn: &mut PgConnection, operation: &Operation, hindrance: Room) -> Result<Prepared> {
    let (note, delay) = match hindrance {
        // Spread, so that a fleet that waits does not ask in step.
        Room::FleetFull => (
            "waits for the limit of running backups",
            LIMIT_WAIT + Duration::from_millis(operation.row.unsigned_abs() % 15_000),
        ),
        Room::InstanceBusy | Room::Free => ("waits for another operation of the instance", TURN_WAIT),
    };
    operations::update_progress(conn, operation.kind, operation.row, None, Some(note))?;
    Ok(Prepared::WaitFor(delay))
}

/// Writes down a step after which nothing is sent.
fn settle(conn: &mut PgConnection, operation: &Operation, step: Step) -> Result<Prepared> {
    match step {
        // The watcher may be missing if an older program or an operator's hand was here.
        Step::EnsureWatcher => {
            let watcher = jobs::check_operation(operation.kind, operation.row, Duration::ZERO);
            backup_queue::enqueue(conn, &watcher)?;
        }
        Step::Withdraw(failure) => finish::fail(conn, operation, &failure)?,
        Step::LeaveToWatcher(why) => {
            if !watch(conn, operation, Some(&why))? {
                return Ok(Prepared::WaitFor(TURN_WAIT));
            }
        }
        Step::Settled | Step::Wait(_) | Step::Send => {}
    }
    Ok(Prepared::Settled)
}

/// Records it, unless the operation has moved on meanwhile; false when another operation of the instance runs.
async fn conclude(
    manager: &Manager,
    job: &ClaimedJob,
    dispatch: &Dispatch,
    conclusion: Conclusion,
) -> Result<bool> {
    let (lease, operation) = (job.lease.clone(), dispatch.operation.clone());
    manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let (kind, id) = (operation.kind, operation.row);
            if operations::lock(conn, kind, id)?.is_none_or(|now| now.status != "queued") {
                return Ok(true);
            }
            match conclusion {
                Conclusion::Accepted => return watch(conn, &operation, None),
                Conclusion::Unknown(why) => return watch(conn, &operation, Some(&why)),
                Conclusion::CatchUp(newest) => operations::update_epoch(conn, kind, id, newest)?,
                Conclusion::NotDelivered { why, is_nowhere } => {
                    let note = format!("will be tried again: {why}");
                    operations::update_progress(conn, kind, id, None, Some(&note))?;
                    if is_nowhere {
                        operations::update_not_at_agent(conn, kind, id)?;
                    }
                }
                Conclusion::Failed(failure) => finish::fail(conn, &operation, &failure)?,
            }
            Ok(true)
        })
        .await
}

/// `running`, and a watcher that asks soon; false when another operation of the instance runs, and nothing is written.
fn watch(conn: &mut PgConnection, operation: &Operation, note: Option<&str>) -> Result<bool> {
    // A refused statement would leave the whole transaction unusable; this one it takes back alone.
    let moved = conn.transaction(|conn| operations::update_running(conn, operation.kind, operation.row));
    match moved {
        Err(Error::InstanceBusy) => return Ok(false),
        moved => moved?,
    }
    if note.is_some() {
        operations::update_progress(conn, operation.kind, operation.row, None, note)?;
    }
    backup_queue::enqueue(conn, &jobs::check_operation(operation.kind, operation.row, FIRST_CHECK))?;
    Ok(true)
}

/// The body of the request; epoch and deadline are filled in when they are fixed.
fn request(
    conn: &mut PgConnection,
    settings: &Settings,
    operation: &Operation,
    target: &ServiceInstance,
    form: StoredForm,
) -> Result<Request> {
    let row = match operation.kind {
        OperationKind::Backup => BackupId(operation.row),
        OperationKind::Restore => restores::get(conn, RestoreId(operation.row))?.backup,
        OperationKind::Rehearsal => rehearsals::get(conn, RehearsalId(operation.row))?.backup,
    };
    let backup = backups::get(conn, row)?;
    if !settings.stores.contains_key(&backup.store) {
        return Err(Error::NotConfigured { what: "store", name: backup.store });
    }
    let owner = service_instances::get_by_id(conn, backup.instance)?;
    let key = encryption_keys::get(conn, &settings.key_ring, backup.encryption_key, &owner.guid)?;
    let encryption = Encryption {
        scheme: match operation.kind {
            OperationKind::Backup => form.encryption(),
            OperationKind::Restore | OperationKind::Rehearsal => encryption_of(&backup.filter_plugins),
        },
        key: key.expose_secret().to_owned(),
        key_id: backup.encryption_key.to_string(),
        key_envelope: None,
    };
    let no_checksum = || Error::Internal("a done backup has no checksum".into());
    let moment = match operation.kind {
        OperationKind::Backup | OperationKind::Rehearsal => None,
        OperationKind::Restore => pitr::find_target(conn, RestoreId(operation.row))?,
    };
    Ok(match operation.kind {
        OperationKind::Backup => Request::Backup(StartBackup {
            encryption: Encryption {
                key_envelope: Some(envelope(conn, settings, &backup, &owner, &encryption.key)?),
                ..encryption
            },
            epoch: operation.epoch,
            store: backup.store,
            object_prefix: backup.object_prefix,
            instance: InstanceRef {
                guid: target.guid.to_string(),
                data_service: target.data_service.clone(),
                plan_guid: target.plan_guid.clone(),
            },
            compression: form.compression(settings.policy.compression_level),
            rate_limit_bytes_per_second: None,
            deadline: operation.triggered_at,
            part_size_limit: settings.policy.part_size_limit,
            backup_type: target.backup_type.clone(),
        }),
        OperationKind::Restore => Request::Restore(StartRestore {
            epoch: operation.epoch,
            backup_id: backup.backup_id,
            store: backup.store,
            object_prefix: backup.object_prefix,
            checksum: backup.checksum.ok_or_else(no_checksum)?,
            encryption,
            deadline: operation.triggered_at,
            recovery_target_time: moment.as_ref().map(|(moment, _)| *moment),
            recovery_last_segment: moment.map(|(_, last_segment)| last_segment),
        }),
        OperationKind::Rehearsal => Request::Rehearsal(StartRehearsal {
            epoch: operation.epoch,
            backup_id: backup.backup_id,
            store: backup.store,
            object_prefix: backup.object_prefix,
            checksum: backup.checksum.ok_or_else(no_checksum)?,
            encryption,
            deadline: operation.triggered_at,
        }),
    })
}

/// What a manager that lost its database will need, sealed; the agent writes it beside the backup.
fn envelope(
    conn: &mut PgConnection,
    settings: &Settings,
    backup: &Backup,
    owner: &ServiceInstance,
    key: &str,
) -> Result<String> {
    let envelope = KeyEnvelope {
        key: key.into(),
        is_own_key: encryption_keys::is_own(conn, backup.encryption_key)?,
        is_scheduled: backup.is_scheduled,
        triggered_at: backup.triggered_at,
        instance: owner.into(),
    };
    Ok(envelope.seal(&settings.key_ring, &owner.guid, &backup.backup_id)?)
}
