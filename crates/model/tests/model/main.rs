//! The model: what may happen next, what must hold, and the exploration of all of it. See `docs/lifecycle.md`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::as_conversions
)]

mod agent;
mod explore;
mod removal;
mod state;
mod worker;

use std::collections::{BTreeMap, BTreeSet};

use backup_agent::Kind;
use stateright::Property;

use crate::state::{
    Agent, At, Budget, Deadline, Job, Jobs, Mode, Objects, Past, Reply, Row, State, Status, Verb, WORKERS,
    What, Wish, World,
};

/// The world as it is built, or wrong in one respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Right,
    /// The agent takes a stale epoch for a new operation.
    NoFence,
    /// The agent forgets at a restart.
    NoJournal,
    /// A worker writes without confirming its lease.
    NoLease,
}

/// How many operations, and how much may go wrong.
#[derive(Debug, Clone, Copy)]
struct Model {
    variant: Variant,
    operations: usize,
    /// The second operation is a restore.
    restores: bool,
    budget: Budget,
}

impl Model {
    fn kind(&self, operation: usize) -> Kind {
        if self.restores && operation == 1 { Kind::Restore } else { Kind::Backup }
    }
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Claim(usize, usize, Verb),
    GoOn(usize),
    Adopt(usize, Verb),
    Rescue(usize, Verb),
    Deliver(usize),
    Vanish(usize),
    AgentDone(usize),
    AgentFails(usize),
    AgentStops(usize),
    AgentRestarts,
    AgentExits,
    DeadlinePasses(usize),
    CancelWaitPasses(usize),
    // What costs of the budget.
    Cancel(usize),
    DeleteInstance,
    KillWorker(usize),
    KillAgent,
    CloseAgent,
    ExpireUnderLiving(usize, Verb),
    GiveUpCall(usize),
    RefuseConnection(usize),
    RejectBetween(usize),
    DeliverTwice(usize),
    StoreAway(usize),
}

impl Action {
    /// Whether it is part of a world in which nothing goes wrong any more.
    fn is_healthy(self) -> bool {
        match self {
            Self::Claim(..)
            | Self::GoOn(_)
            | Self::Adopt(..)
            | Self::Rescue(..)
            | Self::Deliver(_)
            | Self::Vanish(_)
            | Self::AgentDone(_)
            | Self::AgentFails(_)
            | Self::AgentStops(_)
            | Self::AgentRestarts
            | Self::AgentExits
            | Self::DeadlinePasses(_)
            | Self::CancelWaitPasses(_)
            // Free when the agent is down, and then it is what happens.
            | Self::RefuseConnection(_) => true,
            Self::Cancel(_)
            | Self::DeleteInstance
            | Self::KillWorker(_)
            | Self::KillAgent
            | Self::CloseAgent
            | Self::ExpireUnderLiving(..)
            | Self::GiveUpCall(_)
            | Self::RejectBetween(_)
            | Self::DeliverTwice(_)
            | Self::StoreAway(_) => false,
        }
    }
}

impl stateright::Model for Model {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let count = self.operations;
        let row = Row {
            status: Status::Queued,
            reason: None,
            epoch: 0,
            may_be_at_agent: false,
            deadline: Deadline::Unset,
            wish: Wish::None,
        };
        vec![World {
            rows: vec![row; count],
            jobs: vec![Jobs { start: Job::Ready { attempt: 0 }, check: Job::None }; count],
            workers: vec![None; WORKERS],
            net: Vec::new(),
            agent: Agent {
                mode: Mode::Up,
                journal: vec![None; count],
                running: vec![false; count],
                stopping: vec![false; count],
                objects: vec![Objects::None; count],
            },
            is_instance_deleted: false,
            budget: self.budget,
            past: Past {
                begun: vec![0; count],
                told: vec![false; count],
                disowned: vec![false; count],
                illegal_move: false,
                unfenced_write: false,
                stale_accepted: false,
                wrong_reason: false,
            },
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (index, row) in world.rows.iter().enumerate() {
            for verb in [Verb::Start, Verb::Check] {
                match world.jobs[index].get(verb) {
                    Job::None => {}
                    Job::Ready { .. } => {
                        let idle = world.workers.iter().position(Option::is_none);
                        actions.extend(idle.map(|worker| Action::Claim(worker, index, verb)));
                    }
                    Job::Held { by: None, .. } => actions.push(Action::Rescue(index, verb)),
                    Job::Held { .. } if world.budget.expiries > 0 => {
                        actions.push(Action::ExpireUnderLiving(index, verb));
                    }
                    Job::Held { .. } => {}
                }
            }
            actions.extend(worker::missing(world, index).map(|verb| Action::Adopt(index, verb)));
            if world.agent.running[index] {
                actions.extend([Action::AgentDone(index), Action::AgentFails(index)]);
                if world.agent.stopping[index] {
                    actions.push(Action::AgentStops(index));
                }
            }
            if !row.status.is_over() {
                if row.deadline == Deadline::Ahead {
                    actions.push(Action::DeadlinePasses(index));
                }
                match row.wish {
                    Wish::None if world.budget.wishes > 0 => actions.push(Action::Cancel(index)),
                    Wish::Fresh => actions.push(Action::CancelWaitPasses(index)),
                    Wish::None | Wish::WaitedFor => {}
                }
            }
        }
        if world.budget.deletions > 0 {
            actions.push(Action::DeleteInstance);
        }
        match world.agent.mode {
            Mode::Up if world.budget.agent_crashes > 0 => {
                actions.extend([Action::KillAgent, Action::CloseAgent]);
            }
            Mode::Up => {}
            Mode::Closing => actions.push(Action::AgentExits),
            Mode::Down => actions.push(Action::AgentRestarts),
        }
        for (worker, run) in world.workers.iter().enumerate() {
            let Some(run) = run else { continue };
            if world.budget.worker_crashes > 0 {
                actions.push(Action::KillWorker(worker));
            }
            if !worker::is_waiting(run) {
                actions.push(Action::GoOn(worker));
                if world.budget.outages > 0 && run.at == At::Verifying {
                    actions.push(Action::StoreAway(worker));
                }
            } else {
                if world.budget.losses > 0 {
                    actions.push(Action::GiveUpCall(worker));
                }
                // No connection stands to an agent that is down.
                if world.budget.refusals > 0 || world.agent.mode == Mode::Down {
                    actions.push(Action::RefuseConnection(worker));
                }
                if world.budget.rejections > 0 {
                    actions.push(Action::RejectBetween(worker));
                }
            }
        }
        for (index, request) in world.net.iter().enumerate() {
            if world.agent.mode != Mode::Down {
                actions.push(Action::Deliver(index));
                if world.budget.duplicates > 0 && request.what != What::Status {
                    actions.push(Action::DeliverTwice(index));
                }
            }
            if request.caller.is_none() {
                actions.push(Action::Vanish(index));
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        self.act(&mut world, action);
        canonical(&mut world);
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(AT_MOST_ONCE, |_, world: &World| {
                world.past.begun.iter().all(|begun| *begun <= 1)
            }),
            Property::always(ONE_AT_A_TIME, |_, world: &World| {
                world.rows.iter().filter(|row| row.status == Status::Running).count() <= 1
                    && world.agent.running.iter().filter(|running| **running).count() <= 1
            }),
            Property::always(ARROWS, |_, world: &World| !world.past.illegal_move),
            Property::always(LEASE, |_, world: &World| !world.past.unfenced_write),
            Property::always(STALE, |_, world: &World| !world.past.stale_accepted),
            Property::always(REASON, |_, world: &World| !world.past.wrong_reason),
            Property::always(NEVER_BEGUN, |_, world: &World| {
                world.rows.iter().zip(&world.past.begun).all(|(row, begun)| {
                    let nowhere =
                        ["agent_unreachable", "agent_rejected", "agent_lost_operation", "instance_deleted"];
                    !row.reason.is_some_and(|reason| nowhere.contains(&reason)) || *begun == 0
                })
            }),
            Property::always(TOLD, |_, world: &World| {
                world.rows.iter().enumerate().all(|(index, row)| {
                    row.status != Status::Failed || !world.agent.running[index] || world.past.told[index]
                })
            }),
            Property::always(DONE, |model: &Self, world: &World| {
                world.rows.iter().enumerate().all(|(index, row)| {
                    row.status != Status::Done
                        || (world.agent.objects[index] == Objects::Complete
                            || model.kind(index) == Kind::Restore)
                            && world.agent.journal[index].is_some_and(|entry| entry.state == State::Done)
                })
            }),
            Property::always(ENDS, |model: &Self, world: &World| {
                let mut actions = Vec::new();
                stateright::Model::actions(model, world, &mut actions);
                !actions.is_empty() || world.rows.iter().all(|row| row.status.is_over())
            }),
        ];
        // That something can happen at all: without it the others would hold of an empty world.
        if self.variant == Variant::Right {
            properties.push(Property::sometimes("all are done", |_, world: &World| {
                world.rows.iter().all(|row| row.status == Status::Done)
            }));
            properties.push(Property::sometimes("timed out", |_, world| ended_by(world, "timed_out")));
            if self.budget.wishes > 0 {
                properties.push(Property::sometimes("cancelled", |_, world| ended_by(world, "cancelled")));
            }
            if self.budget.agent_crashes > 0 {
                let name = "interrupted";
                properties.push(Property::sometimes(name, |_, world| ended_by(world, "agent_interrupted")));
            }
            if self.budget.rejections > 0 {
                properties
                    .push(Property::sometimes("rejected", |_, world| ended_by(world, "agent_rejected")));
            }
        }
        properties
    }
}

const AT_MOST_ONCE: &str = "the agent begins each operation at most once";
const ONE_AT_A_TIME: &str = "one operation runs at a time";
const ARROWS: &str = "status moves along the arrows";
const LEASE: &str = "a worker without its lease writes nothing";
const STALE: &str = "a superseded dispatch is never accepted";
const REASON: &str = "what failed has failed for its reason";
const NEVER_BEGUN: &str = "what no agent was given begins nowhere";
const TOLD: &str = "what failed and runs on was told to stop";
const DONE: &str = "what is done is complete in the store";
const ENDS: &str = "when nothing can happen any more, everything has ended";

fn ended_by(world: &World, reason: &str) -> bool {
    world.rows.iter().any(|row| row.reason == Some(reason))
}

/// Invariant 3 of the specification, reason by reason, at the moment at which it is written down.
pub(crate) fn has_reason(world: &World, index: usize, reason: &str) -> bool {
    let row = &world.rows[index];
    let agent_failed = world.agent.journal[index].is_some_and(|entry| entry.state == State::Failed);
    match reason {
        "store_error" | "agent_interrupted" => agent_failed,
        "agent_lost_operation" => world.past.disowned[index] && world.past.begun[index] == 0,
        "timed_out" => row.deadline == Deadline::Passed,
        "cancelled" => row.wish != Wish::None,
        "agent_unreachable" | "agent_rejected" => world.past.begun[index] == 0,
        "instance_deleted" => world.is_instance_deleted && world.past.begun[index] == 0,
        _ => false,
    }
}

impl Model {
    fn act(&self, world: &mut World, action: Action) {
        let budget = &mut world.budget;
        match action {
            Action::Claim(worker, index, verb) => worker::claim(self, world, worker, index, verb),
            Action::GoOn(worker) => worker::go_on(self, world, worker),
            Action::Adopt(index, verb) => worker::adopt(world, index, verb),
            Action::Rescue(index, verb) => worker::rescue(self, world, index, verb),
            Action::Deliver(index) => {
                let request = world.net.swap_remove(index);
                let _ = self.deliver(world, &request);
            }
            Action::DeliverTwice(index) => {
                budget.duplicates -= 1;
                let request = world.net.swap_remove(index);
                let _ = self.deliver(world, &request);
                world.net.push(state::Request { caller: None, ..request });
            }
            Action::Vanish(index) => drop(world.net.swap_remove(index)),
            Action::AgentDone(index) => agent::end(world, index, State::Done, None),
            Action::AgentFails(index) => agent::end(world, index, State::Failed, Some("store_error")),
            Action::AgentStops(index) => agent::end(world, index, State::Cancelled, None),
            Action::AgentRestarts => agent::restart(self, world),
            Action::AgentExits => agent::die(world),
            Action::DeadlinePasses(index) => world.rows[index].deadline = Deadline::Passed,
            Action::CancelWaitPasses(index) => world.rows[index].wish = Wish::WaitedFor,
            Action::Cancel(index) => {
                budget.wishes -= 1;
                world.rows[index].wish = Wish::Fresh;
            }
            Action::DeleteInstance => {
                budget.deletions -= 1;
                world.is_instance_deleted = true;
            }
            Action::KillWorker(worker) => {
                budget.worker_crashes -= 1;
                worker::die(world, worker);
            }
            Action::KillAgent => {
                budget.agent_crashes -= 1;
                agent::die(world);
            }
            Action::CloseAgent => {
                budget.agent_crashes -= 1;
                agent::close(world);
            }
            Action::ExpireUnderLiving(index, verb) => {
                budget.expiries -= 1;
                worker::rescue(self, world, index, verb);
            }
            Action::GiveUpCall(worker) => {
                budget.losses -= 1;
                worker::hang_up(world, worker);
                worker::hear(self, world, worker, Reply::Lost);
            }
            Action::RefuseConnection(worker) => {
                if world.agent.mode != Mode::Down {
                    budget.refusals -= 1;
                }
                world.net.retain(|request| request.caller != Some(worker));
                worker::hear(self, world, worker, Reply::Undelivered);
            }
            Action::StoreAway(worker) => {
                budget.outages -= 1;
                worker::store_away(self, world, worker);
            }
            Action::RejectBetween(worker) => {
                budget.rejections -= 1;
                world.net.retain(|request| request.caller != Some(worker));
                worker::hear(self, world, worker, Reply::Rejected);
            }
        }
    }

    fn deliver(&self, world: &mut World, request: &state::Request) -> Reply {
        let reply = agent::handle(self, world, request);
        if let Some(worker) = request.caller {
            worker::hear(self, world, worker, reply);
        }
        reply
    }
}

/// Brings states that differ in names only to one form: epochs become ranks, workers and messages are sorted, and what
/// nothing reads any longer is wiped.
fn canonical(world: &mut World) {
    for index in 0..world.rows.len() {
        let mut epochs = BTreeSet::new();
        each_epoch(world, index, &mut |epoch| _ = epochs.insert(*epoch));
        // 0 has a meaning of its own: never sent.
        epochs.remove(&0);
        let ranks: BTreeMap<i64, i64> = epochs.into_iter().zip(1..).collect();
        each_epoch(world, index, &mut |epoch| *epoch = ranks.get(epoch).copied().unwrap_or(0));
        let row = &mut world.rows[index];
        if row.status.is_over() {
            (row.may_be_at_agent, row.deadline, row.wish) = (false, Deadline::Unset, Wish::None);
            world.past.disowned[index] = false;
        }
    }
    if world.workers[0] > world.workers[1] {
        world.workers.swap(0, 1);
        let other = |worker: &mut usize| *worker = 1 - *worker;
        for jobs in &mut world.jobs {
            for verb in [Verb::Start, Verb::Check] {
                if let Job::Held { by: Some(by), .. } = jobs.slot(verb) {
                    other(by);
                }
            }
        }
        world.net.iter_mut().filter_map(|request| request.caller.as_mut()).for_each(other);
    }
    world.net.sort();
}

fn each_epoch(world: &mut World, index: usize, see: &mut dyn FnMut(&mut i64)) {
    see(&mut world.rows[index].epoch);
    if let Some(entry) = &mut world.agent.journal[index] {
        see(&mut entry.epoch);
    }
    for request in world.net.iter_mut().filter(|request| request.operation == index) {
        if let What::Start { epoch } | What::Stop { epoch, .. } = &mut request.what {
            see(epoch);
        }
    }
}
