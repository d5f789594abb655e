//! The modelled worker and database. The decisions are `before` and `after` of `backup_core::domain::dispatch`, `judge` of
//! `backup_core::domain::operation`, and the queue's `Ruling::of`.

use std::time::Duration;

use backup_agent::Kind;
use backup_core::domain::dispatch::{self, Conclusion, Facts, Room, StartAnswer, Step};
use backup_core::domain::identifiers::ServiceInstanceId;
use backup_core::domain::operation::{
    Answer, Circumstances, Operation, OperationKind, Verdict, after_forbidding, judge,
};
use backup_protocol::{OperationError, OperationStatus};
use backup_queue::settle::Ruling;
use backup_queue::{Backoff, JobError, Outcome};
use chrono::{DateTime, TimeDelta, Utc};

use crate::state::{
    ATTEMPTS, At, Deadline, Job, Next, Objects, Record, Reply, Request, Row, Run, Status, Verb, What, Wish,
    World,
};
use crate::{Model, Variant, has_reason};

const CANCEL_WAIT: TimeDelta = TimeDelta::seconds(60);

/// It is always this time; deadlines and wishes move instead.
fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn real(index: usize, row: &Row) -> Operation {
    Operation {
        kind: OperationKind::Backup,
        row: i64::try_from(index).unwrap(),
        name: String::new(),
        instance: ServiceInstanceId(1),
        status: row.status.real().as_str().to_owned(),
        epoch: row.epoch,
        may_be_at_agent: row.may_be_at_agent,
        deadline_at: match row.deadline {
            Deadline::Unset => None,
            Deadline::Ahead => Some(now() + TimeDelta::hours(1)),
            Deadline::Passed => Some(now() - TimeDelta::seconds(1)),
        },
        cancel_requested_at: match row.wish {
            Wish::None => None,
            Wish::Fresh => Some(now()),
            Wish::WaitedFor => Some(now() - CANCEL_WAIT - TimeDelta::seconds(1)),
        },
        triggered_at: now(),
        is_scheduled: false,
        msg: None,
        guid: String::new(),
    }
}

// The database -------------------------------------------------------------------------------------------------

fn move_to(world: &mut World, index: usize, status: Status) {
    let row = &mut world.rows[index];
    world.past.illegal_move |= !row.status.real().can_become(status.real());
    row.status = status;
}

fn fail(world: &mut World, index: usize, reason: &'static str) {
    world.past.wrong_reason |= !has_reason(world, index, reason);
    move_to(world, index, Status::Failed);
    world.rows[index].reason = Some(reason);
}

/// `queued` → `running`, and a watcher; false when another operation of the instance runs.
fn watch(world: &mut World, index: usize) -> bool {
    if world.rows.iter().any(|row| row.status == Status::Running) {
        return false;
    }
    move_to(world, index, Status::Running);
    enqueue(world, index, Verb::Check);
    true
}

fn enqueue(world: &mut World, index: usize, verb: Verb) {
    let slot = world.jobs[index].slot(verb);
    if *slot == Job::None {
        *slot = Job::Ready { attempt: 0 };
    }
}

/// `is_blocked` of the operations' store; all were asked for by people, and rows are in the order in which they were, backups
/// and restores alike.
fn room(world: &World, index: usize) -> Room {
    let place = |i: usize| (!world.rows[i].may_be_at_agent, i);
    let is_blocked = world.rows.iter().enumerate().any(|(other, row)| match row.status {
        Status::Running => true,
        Status::Queued => place(other) < place(index),
        Status::Done | Status::Failed => false,
    });
    if is_blocked { Room::InstanceBusy } else { Room::Free }
}

// The queue ----------------------------------------------------------------------------------------------------

fn attempts(verb: Verb) -> i32 {
    match verb {
        Verb::Start => ATTEMPTS,
        // Fifty in the product; what costs an attempt here is the death of a worker.
        Verb::Check => ATTEMPTS,
    }
}

fn rule(verb: Verb, attempt: i32, next: Next) -> Job {
    let answer = match next {
        Next::Done => Ok(Outcome::Done),
        Next::Snooze => Ok(Outcome::Snooze(Duration::ZERO)),
        Next::Retry => Err(JobError::retry("")),
    };
    match Ruling::of(answer, attempt, attempts(verb), &Backoff::default()) {
        Ruling::Done | Ruling::Discarded(_) | Ruling::Failed(_) => Job::None,
        Ruling::Retried(..) => Job::Ready { attempt },
        Ruling::Snoozed(_) | Ruling::HandedBack => Job::Ready { attempt: attempt - 1 },
    }
}

/// The lease of a job expires: it is rescued, and whoever held it has lost it.
pub(crate) fn rescue(model: &Model, world: &mut World, index: usize, verb: Verb) {
    let Job::Held { by, attempt } = world.jobs[index].get(verb) else { return };
    *world.jobs[index].slot(verb) = rule(verb, attempt, Next::Retry);
    if let Some(worker) = by
        && let Some(run) = &mut world.workers[worker]
    {
        run.has_lease = false;
        hurry(model, world, worker);
    }
}

/// The worker dies, and another takes its place.
pub(crate) fn die(world: &mut World, worker: usize) {
    if let Some(run) = world.workers[worker].take()
        && run.has_lease
        && let Job::Held { by, .. } = world.jobs[run.operation].slot(run.verb)
    {
        *by = None;
    }
    hang_up(world, worker);
}

/// The request may still be on its way, but nobody waits for its answer.
pub(crate) fn hang_up(world: &mut World, worker: usize) {
    for request in &mut world.net {
        if request.caller == Some(worker) {
            request.caller = None;
        }
    }
    // A question without a listener has no effect.
    world.net.retain(|request| request.caller.is_some() || request.what != What::Status);
}

/// The sweep: a job for every unfinished operation that has none.
pub(crate) fn missing(world: &World, index: usize) -> Option<Verb> {
    let verb = match world.rows[index].status {
        Status::Queued => Verb::Start,
        Status::Running => Verb::Check,
        Status::Done | Status::Failed => return None,
    };
    (world.jobs[index].get(verb) == Job::None).then_some(verb)
}

pub(crate) fn adopt(world: &mut World, index: usize, verb: Verb) {
    enqueue(world, index, verb);
}

// The worker ---------------------------------------------------------------------------------------------------

/// Claims a job and does its first transaction. Nothing is visible between the two, so they are one step.
pub(crate) fn claim(model: &Model, world: &mut World, worker: usize, index: usize, verb: Verb) {
    let Job::Ready { attempt } = world.jobs[index].get(verb) else { return };
    let attempt = attempt + 1;
    *world.jobs[index].slot(verb) = Job::Held { by: Some(worker), attempt };
    let at = match verb {
        Verb::Start => prepare(world, worker, index),
        Verb::Check => look(world, worker, index),
    };
    world.workers[worker] = Some(Run { operation: index, verb, has_lease: true, attempt, at });
    hurry(model, world, worker);
}

fn prepare(world: &mut World, worker: usize, index: usize) -> At {
    let mut seen = world.rows[index].clone();
    // No decision reads it.
    seen.epoch = 0;
    let facts =
        Facts { now: now(), is_instance_deleted: world.is_instance_deleted, room: room(world, index) };
    match dispatch::before(&real(index, &seen), &facts) {
        Step::Settled => At::Settling(Next::Done),
        Step::EnsureWatcher => {
            enqueue(world, index, Verb::Check);
            At::Settling(Next::Done)
        }
        Step::Withdraw(failure) => {
            fail(world, index, failure.reason.as_str());
            At::Settling(Next::Done)
        }
        Step::LeaveToWatcher(_) => match watch(world, index) {
            true => At::Settling(Next::Done),
            false => At::Settling(Next::Snooze),
        },
        Step::Wait(_) => At::Settling(Next::Snooze),
        Step::Send => {
            let row = &mut world.rows[index];
            row.epoch += 1;
            row.may_be_at_agent = true;
            if row.deadline == Deadline::Unset {
                row.deadline = Deadline::Ahead;
            }
            let what = What::Start { epoch: row.epoch };
            send(world, worker, index, what);
            At::Asking { seen }
        }
    }
}

fn look(world: &mut World, worker: usize, index: usize) -> At {
    let mut seen = world.rows[index].clone();
    // No decision reads it.
    seen.epoch = 0;
    if seen.status != Status::Running {
        return At::Settling(Next::Done);
    }
    let epoch = world.rows[index].epoch;
    let what = match seen.wish {
        Wish::None => What::Status,
        Wish::Fresh | Wish::WaitedFor => What::Stop { epoch, unless_begun: false },
    };
    send(world, worker, index, what);
    At::Asking { seen }
}

fn send(world: &mut World, worker: usize, operation: usize, what: What) {
    world.net.push(Request { operation, what, caller: Some(worker) });
}

/// Hands a worker what it waits for. What it makes of it is decided at once: nobody sees that happen.
pub(crate) fn hear(model: &Model, world: &mut World, worker: usize, reply: Reply) {
    let Some(mut run) = world.workers[worker].take() else { return };
    run.at = match run.at.clone() {
        At::Asking { seen } => match run.verb {
            Verb::Start => conclude(&run, &seen, reply),
            Verb::Check => decide(model, world, &run, &seen, reply),
        },
        At::Forbidden { seen } => {
            let verdict = after_forbidding(&real(run.operation, &seen), heard(&seen, reply), around(world));
            follow(model, world, &run, &seen, verdict)
        }
        At::Stopping { reason } => At::Recording { record: Record::Failed(reason), next: Next::Done },
        other @ (At::Verifying
        | At::Forbidding { .. }
        | At::Telling { .. }
        | At::Recording { .. }
        | At::Settling(_)) => other,
    };
    world.workers[worker] = Some(run);
    hurry(model, world, worker);
}

/// Does at once what nobody sees: a job that is to run again goes back, at the same cost as if its worker had died, and a
/// worker without its lease that only has to write, or to hear what it will write, has nothing left to do.
pub(crate) fn hurry(model: &Model, world: &mut World, worker: usize) {
    let Some(run) = world.workers[worker].clone() else { return };
    match run.at {
        At::Settling(next @ (Next::Snooze | Next::Retry)) => settle(world, worker, &run, next),
        At::Settling(Next::Done) if !run.has_lease => world.workers[worker] = None,
        At::Recording { .. }
        | At::Verifying
        | At::Forbidding { .. }
        | At::Forbidden { .. }
        | At::Telling { .. }
        | At::Stopping { .. }
            if is_fenced_off(model, &run) =>
        {
            leave(world, worker)
        }
        At::Asking { .. } if run.verb == Verb::Start && is_fenced_off(model, &run) => leave(world, worker),
        At::Asking { .. }
        | At::Verifying
        | At::Forbidding { .. }
        | At::Forbidden { .. }
        | At::Telling { .. }
        | At::Stopping { .. }
        | At::Recording { .. }
        | At::Settling(_) => {}
    }
}

fn is_fenced_off(model: &Model, run: &Run) -> bool {
    !run.has_lease && model.variant != Variant::NoLease
}

fn leave(world: &mut World, worker: usize) {
    world.workers[worker] = None;
    hang_up(world, worker);
}

fn settle(world: &mut World, worker: usize, run: &Run, next: Next) {
    if run.has_lease {
        *world.jobs[run.operation].slot(run.verb) = rule(run.verb, run.attempt, next);
    }
    world.workers[worker] = None;
}

/// Whether the worker waits for an answer.
pub(crate) fn is_waiting(run: &Run) -> bool {
    matches!(run.at, At::Asking { .. } | At::Forbidden { .. } | At::Stopping { .. })
}

/// Writes what was decided, or says what becomes of the job.
pub(crate) fn go_on(model: &Model, world: &mut World, worker: usize) {
    let Some(mut run) = world.workers[worker].clone() else { return };
    match run.at {
        At::Recording { record, next } => {
            world.past.unfenced_write |= !run.has_lease;
            run.at = At::Settling(if write(world, &run, record) { next } else { Next::Snooze });
            world.workers[worker] = Some(run);
            hurry(model, world, worker);
        }
        At::Telling { reason } => {
            world.past.told[run.operation] = true;
            let epoch = world.rows[run.operation].epoch;
            send(world, worker, run.operation, What::Stop { epoch, unless_begun: false });
            run.at = At::Stopping { reason };
            world.workers[worker] = Some(run);
        }
        At::Forbidding { seen } => {
            let epoch = world.rows[run.operation].epoch;
            send(world, worker, run.operation, What::Stop { epoch, unless_begun: true });
            run.at = At::Forbidden { seen };
            world.workers[worker] = Some(run);
        }
        At::Verifying => {
            run.at = verified(world, run.operation);
            world.workers[worker] = Some(run);
        }
        At::Settling(next) => settle(world, worker, &run, next),
        At::Asking { .. } | At::Forbidden { .. } | At::Stopping { .. } => {}
    }
}

/// The store cannot be asked at this moment.
pub(crate) fn store_away(model: &Model, world: &mut World, worker: usize) {
    if let Some(run) = &mut world.workers[worker] {
        run.at = At::Settling(Next::Snooze);
    }
    hurry(model, world, worker);
}

fn conclude(run: &Run, seen: &Row, reply: Reply) -> At {
    let answer = match reply {
        Reply::Accepted => StartAnswer::Accepted,
        Reply::Busy => StartAnswer::Busy { retry_after: None },
        Reply::OtherOperationRunning => StartAnswer::OtherOperationRunning,
        Reply::StaleEpoch => StartAnswer::StaleEpoch { newest: None },
        Reply::Rejected => StartAnswer::Rejected(String::new()),
        Reply::Undelivered => StartAnswer::Undelivered(String::new()),
        Reply::Lost | Reply::Unknown | Reply::Status { .. } => StartAnswer::Lost(String::new()),
    };
    let is_last = run.attempt >= attempts(run.verb);
    let (conclusion, next) = dispatch::after(&real(run.operation, seen), answer, is_last);
    let next = match next {
        dispatch::Next::Done => Next::Done,
        dispatch::Next::Snooze(_) => Next::Snooze,
        dispatch::Next::Retry => Next::Retry,
    };
    let record = match conclusion {
        None | Some(Conclusion::CatchUp(_)) => return At::Settling(next),
        Some(Conclusion::Accepted | Conclusion::Unknown(_)) => Record::Watch,
        Some(Conclusion::NotDelivered { is_nowhere, .. }) => Record::NotDelivered { is_nowhere },
        Some(Conclusion::Failed(failure)) => Record::Failed(failure.reason.as_str()),
    };
    At::Recording { record, next }
}

fn around(world: &World) -> Circumstances {
    Circumstances { now: now(), cancel_wait: CANCEL_WAIT, is_instance_deleted: world.is_instance_deleted }
}

fn heard(seen: &Row, reply: Reply) -> Answer {
    match reply {
        Reply::Status { state, error } => Answer::Status(OperationStatus {
            id: String::new(),
            epoch: seen.epoch,
            state: state.real(),
            bytes_read: 0,
            bytes_stored: 0,
            total_bytes_estimate: None,
            started_at: now(),
            finished_at: None,
            parts: Vec::new(),
            checksum: None,
            filter_plugins: Vec::new(),
            error: error.map(|code| OperationError { code: code.to_owned(), message: String::new() }),
            rehearsal: None,
        }),
        Reply::Unknown => Answer::Unknown,
        _ => Answer::None(String::new()),
    }
}

fn decide(model: &Model, world: &World, run: &Run, seen: &Row, reply: Reply) -> At {
    let verdict = judge(&real(run.operation, seen), heard(seen, reply), around(world));
    follow(model, world, run, seen, verdict)
}

fn follow(model: &Model, world: &World, run: &Run, seen: &Row, verdict: Verdict) -> At {
    match verdict {
        Verdict::Wait(_) => At::Settling(Next::Snooze),
        Verdict::Forbid => At::Forbidding { seen: seen.clone() },
        Verdict::Complete(_) if model.kind(run.operation) == Kind::Restore => {
            At::Recording { record: Record::Done, next: Next::Done }
        }
        // Between the answer and the look into the store much may happen; told apart only where it can go wrong.
        Verdict::Complete(_) if world.budget.outages > 0 => At::Verifying,
        Verdict::Complete(_) => verified(world, run.operation),
        Verdict::Fail { failure, tell_agent: false } => {
            At::Recording { record: Record::Failed(failure.reason.as_str()), next: Next::Done }
        }
        Verdict::Fail { failure, tell_agent: true } => At::Telling { reason: failure.reason.as_str() },
    }
}

/// The store is asked whether it holds what the agent reports.
fn verified(world: &World, index: usize) -> At {
    let record = match world.agent.objects[index] {
        Objects::Complete => Record::Done,
        Objects::None | Objects::Partial => Record::Failed("artifact_incomplete"),
    };
    At::Recording { record, next: Next::Done }
}

/// The second transaction; false when it was rolled back.
fn write(world: &mut World, run: &Run, record: Record) -> bool {
    let index = run.operation;
    let expected = match run.verb {
        Verb::Start => Status::Queued,
        Verb::Check => Status::Running,
    };
    if world.rows[index].status != expected {
        return true;
    }
    match record {
        Record::Watch => return watch(world, index),
        Record::NotDelivered { is_nowhere } => {
            if is_nowhere {
                world.rows[index].may_be_at_agent = false;
            }
        }
        Record::Failed(reason) => fail(world, index, reason),
        Record::Done => move_to(world, index, Status::Done),
    }
    true
}
