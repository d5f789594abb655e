//! The `backup_agent_backups` job: prepares what the agent needs and sends the request, for a backup, a restore or a rehearsal.
//!
//! The operation's name, epoch and deadline are in the database before the first call, and starting is idempotent at
//! the agent; so a lost answer, a killed worker or a second run of the job ends in the same one operation.

use std::time::Duration;

use backup_protocol::{OperationStatus, StartBackup};
use backup_queue::{ClaimedJob, Outcome};
use diesel::{Connection, PgConnection};
use tracing::Instrument;

use super::agent_endpoint::{Agent, agent_of};
use super::finish;
use super::places::{has_turn, pass_on};
use super::start_request::{Request, request};
use crate::clients::agent::AgentError;
use crate::domain::dispatch::{self, Conclusion, Facts, Next, Room, StartAnswer, Step};
use crate::domain::identifiers::BackupId;
use crate::domain::operation::{Failure, Operation, OperationKind};
use crate::domain::reason::ReasonCode;
use crate::error::chain;
use crate::manager::{Manager, Settings};
use crate::store::places::{self, Place};
use crate::store::{self, operations, service_instances};
use crate::{Error, Result, Shares, Turn, jobs};

/// How long an operation waits whose agent may have it, while another one of its instance runs.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// How long an operation waits that another one of its instance holds up. The end of the other wakes it; this is for what
/// nobody has foreseen, and must not be noticed when thousands wait.
const LONGEST_TURN_WAIT: Duration = Duration::from_secs(300);
/// The same for a backup without a place. Whoever gives it one wakes it.
const LONGEST_PLACE_WAIT: Duration = Duration::from_secs(1800);
/// Those that wait do not look again in step.
const SPREAD: u64 = 300;
/// The first look at a new operation comes soon, so that short ones end soon.
const FIRST_CHECK: Duration = Duration::from_secs(1);

/// Sends one queued operation to its agent.
pub async fn start_operation(
    manager: &Manager,
    job: &ClaimedJob,
    kind: OperationKind,
    id: i64,
) -> Result<Outcome> {
    let mut prepared = look(manager, job, kind, id).await?;
    // In line, it may be its turn at once.
    if let Prepared::InLine(_) = prepared
        && has_turn(manager, BackupId(id)).await
    {
        prepared = look(manager, job, kind, id).await?;
    }
    let dispatch = match prepared {
        Prepared::Settled => {
            pass_on(manager, kind).await;
            return Ok(Outcome::Done);
        }
        Prepared::WaitFor(delay) | Prepared::InLine(delay) => return Ok(Outcome::Snooze(delay)),
        Prepared::Blocked(delay) => {
            pass_on(manager, kind).await;
            return Ok(Outcome::Snooze(delay));
        }
        Prepared::Send(dispatch) => *dispatch,
    };
    let span = finish::span(&dispatch.operation);
    send(manager, job, dispatch).instrument(span).await
}

async fn look(manager: &Manager, job: &ClaimedJob, kind: OperationKind, id: i64) -> Result<Prepared> {
    let (settings, shares, claimed) = (manager.settings(), manager.shares().clone(), job.clone());
    manager
        .database
        .transaction(move |conn| {
            claimed.lease.confirm(conn)?;
            prepare(conn, &settings, &shares, &claimed, kind, id)
        })
        .await
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
    } else {
        // It may be over, or certain that no agent has it.
        pass_on(manager, operation.kind).await;
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
    /// Not now.
    WaitFor(Duration),
    /// Another operation of the instance is in front, which wakes it; a place it had has been given back.
    Blocked(Duration),
    /// It stands in line for a place; whoever gives it one wakes it.
    InLine(Duration),
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
    request.fix(operations::update_dispatch(conn, kind, id, deadline)?);
    Ok(Prepared::Send(Box::new(Dispatch { operation, agent, request, turn })))
}

/// Asked for queued operations only; places are looked at only where there are limits.
fn room(conn: &mut PgConnection, settings: &Settings, operation: &Operation) -> Result<Room> {
    if operation.status != "queued" {
        return Ok(Room::Free);
    }
    if operations::is_blocked(conn, operation)? {
        return Ok(Room::InstanceBusy);
    }
    let is_limited = operation.kind == OperationKind::Backup
        && !operation.may_be_at_agent
        && settings.policy.limits.are_any();
    match is_limited && !matches!(places::find(conn, BackupId(operation.row))?, Place::Held(_)) {
        true => Ok(Room::NoPlace),
        false => Ok(Room::Free),
    }
}

fn wait(conn: &mut PgConnection, operation: &Operation, hindrance: Room) -> Result<Prepared> {
    let spread = Duration::from_secs(operation.row.unsigned_abs() % SPREAD);
    let (note, prepared) = match hindrance {
        Room::NoPlace => {
            places::ask(conn, BackupId(operation.row))?;
            let note = "waits for a place under the limits of running backups";
            (note, Prepared::InLine(LONGEST_PLACE_WAIT.saturating_add(spread)))
        }
        Room::InstanceBusy | Room::Free => {
            if operation.kind == OperationKind::Backup && !operation.may_be_at_agent {
                places::give_back(conn, BackupId(operation.row))?;
            }
            let delay = match operation.may_be_at_agent {
                true => TURN_WAIT,
                false => LONGEST_TURN_WAIT.saturating_add(spread),
            };
            ("waits for another operation of the instance", Prepared::Blocked(delay))
        }
    };
    operations::update_progress(conn, operation.kind, operation.row, None, Some(note))?;
    Ok(prepared)
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
