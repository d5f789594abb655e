//! The modelled agent. Its decisions are those of `backup_agent::admission`.

use backup_agent::Kind;
use backup_agent::admission::{self, Admission, Cancellation, Floor};
use backup_protocol::{NEVER_BEGUN, StopOrder};

use crate::state::{Entry, Mode, Objects, Reply, Request, State, What, World};
use crate::{Model, Variant};

const NAMES: [&str; 2] = ["0", "1"];

/// Handles one request, and says what the caller hears.
pub(crate) fn handle(model: &Model, world: &mut World, request: &Request) -> Reply {
    let operation = request.operation;
    match request.what {
        What::Start { epoch } => start(model, world, operation, epoch),
        What::Status => status(world, operation),
        What::Stop { epoch, unless_begun } => stop(world, operation, epoch, unless_begun),
    }
}

fn stop(world: &mut World, operation: usize, epoch: i64, unless_begun: bool) -> Reply {
    let known = world.agent.journal[operation].map(|entry| entry.epoch);
    let order = StopOrder { epoch: Some(epoch), unless_begun };
    match admission::cancel(known, world.agent.running[operation], order) {
        Cancellation::Stale { .. } => return Reply::StaleEpoch,
        Cancellation::Remember { epoch } => {
            let entry = Entry { epoch, state: State::Cancelled, error: Some(NEVER_BEGUN) };
            world.agent.journal[operation] = Some(entry);
        }
        Cancellation::Stop => {
            world.agent.stopping[operation] = true;
            world.past.told[operation] = true;
        }
        Cancellation::Nothing => {}
    }
    if let Some(entry) = &mut world.agent.journal[operation] {
        entry.epoch = entry.epoch.max(epoch);
    }
    status(world, operation)
}

fn start(model: &Model, world: &mut World, operation: usize, epoch: i64) -> Reply {
    let mut known = world.agent.journal[operation].map(|entry| entry.epoch);
    let is_stale = known.is_some_and(|known| epoch < known);
    if model.variant == Variant::NoFence && is_stale {
        known = None;
    }
    let running: Vec<_> = (0..world.rows.len())
        .filter(|index| world.agent.running[*index])
        .map(|index| (model.kind(index), NAMES[index]))
        .collect();
    let floor = Floor { is_closing: world.agent.mode == Mode::Closing, running: &running, limit: 1 };
    let reply = match admission::admit(known, epoch, model.kind(operation), floor) {
        Admission::Begin => {
            world.agent.journal[operation] = Some(Entry { epoch, state: State::Running, error: None });
            world.agent.running[operation] = true;
            if model.kind(operation) == Kind::Backup {
                world.agent.objects[operation] = Objects::Partial;
            }
            world.past.begun[operation] += 1;
            Reply::Accepted
        }
        Admission::Repeat { is_newer } => {
            if is_newer && let Some(entry) = &mut world.agent.journal[operation] {
                entry.epoch = epoch;
            }
            Reply::Accepted
        }
        Admission::Stale { .. } => Reply::StaleEpoch,
        Admission::OperationRunning(_) => Reply::OtherOperationRunning,
        Admission::Busy(_) => Reply::Busy,
    };
    world.past.stale_accepted |= is_stale && reply == Reply::Accepted;
    reply
}

fn status(world: &mut World, operation: usize) -> Reply {
    match world.agent.journal[operation] {
        Some(entry) => Reply::Status { state: entry.state, error: entry.error },
        None => {
            world.past.disowned[operation] = true;
            Reply::Unknown
        }
    }
}

/// The work ends.
pub(crate) fn end(world: &mut World, operation: usize, state: State, error: Option<&'static str>) {
    if let Some(entry) = &mut world.agent.journal[operation] {
        (entry.state, entry.error) = (state, error);
    }
    world.agent.running[operation] = false;
    world.agent.stopping[operation] = false;
    world.agent.objects[operation] = match (state, world.agent.objects[operation]) {
        (State::Done, Objects::Partial) => Objects::Complete,
        _ => Objects::None,
    };
}

/// Stops what runs, as a terminated agent does, and begins nothing more.
pub(crate) fn close(world: &mut World) {
    world.agent.mode = Mode::Closing;
    for operation in 0..world.rows.len() {
        if world.agent.running[operation] {
            end(world, operation, State::Failed, Some("interrupted"));
        }
    }
}

/// Memory is lost; the journal and the store are not.
pub(crate) fn die(world: &mut World) {
    world.agent.mode = Mode::Down;
    world.agent.running.fill(false);
    world.agent.stopping.fill(false);
}

/// Reads the journal, cleans up, and records what was interrupted.
pub(crate) fn restart(model: &Model, world: &mut World) {
    world.agent.mode = Mode::Up;
    for operation in 0..world.rows.len() {
        if model.variant == Variant::NoJournal {
            world.agent.journal[operation] = None;
        }
        let Some(entry) = &mut world.agent.journal[operation] else { continue };
        let after = State::of(admission::after_restart(entry.state.real()));
        if after != entry.state {
            (entry.state, entry.error) = (after, Some("interrupted"));
            world.agent.objects[operation] = Objects::None;
        }
    }
}
