//! The model of what comes after an operation: the remains of a failed backup go, a marked backup goes, and nothing that
//! is still needed goes with them. Two deleters with leases, a client's request without one, an agent that may still be
//! writing, and a store that fails. What retention decides is not in it: anything finished may be marked at any moment.

use backup_agent::admission::{self, Cancellation};
use backup_core::domain::backup::BackupStatus;
use backup_protocol::StopOrder;
use backup_queue::settle::Ruling;
use backup_queue::{Backoff, JobError};
use stateright::{Checker, HasDiscoveries, Model as _, Property};

/// The order of steps as it is built, or wrong in one respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Right,
    /// The row goes first, then the objects.
    RowFirst,
    /// Nobody asks the agent whether it has stopped.
    AgentNotAsked,
    /// A client's request believes what it saw of the backup before its transaction.
    StaleLook,
}

#[derive(Debug, Clone, Copy)]
struct Removal {
    variant: Variant,
    budget: Budget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Budget {
    /// Deaths of deleters, and of the API in the middle of a request.
    crashes: u8,
    /// Leases that expire under a living deleter.
    expiries: u8,
    /// Calls of the store that fail.
    outages: u8,
    /// Calls of the agent that fail.
    losses: u8,
    /// Backups that are undeleted.
    second_thoughts: u8,
}

const BUDGET: Budget = Budget { crashes: 3, expiries: 2, outages: 2, losses: 2, second_thoughts: 2 };

/// One backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    status: Status,
    has_remains: bool,
    remove_at_once: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Status {
    Running,
    Done,
    Failed,
    Deleted,
}

impl Status {
    fn real(self) -> BackupStatus {
        match self {
            Self::Running => BackupStatus::Running,
            Self::Done => BackupStatus::Done,
            Self::Failed => BackupStatus::Failed,
            Self::Deleted => BackupStatus::Deleted,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Objects {
    None,
    Partial,
    Complete,
}

/// A deleter, or the API with a client's request, between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Deleter {
    has_lease: bool,
    /// The row goes too; else only what a failed backup left.
    takes_row: bool,
    /// The agent has confirmed that it no longer works on it.
    has_asked: bool,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    /// About to ask the agent whether it has stopped.
    Asking,
    /// The client's request: about to mark it.
    Marking,
    /// About to remove the objects and to look whether they are gone.
    Removing,
    /// About to write down that they are.
    Recording,
}

/// The deleter's job; held by nobody: the deleter is dead, and the lease has not expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Job {
    None,
    Ready,
    Held { by: Option<usize> },
}

/// Two deleters and the API.
const API: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    row: Option<Row>,
    objects: Objects,
    is_writing: bool,
    job: Job,
    deleters: [Option<Deleter>; 3],
    budget: Budget,
    illegal_move: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Succeeds,
    Fails,
    Mark,
    Undelete,
    ClientDeletes,
    Plan,
    Claim(usize),
    GoOn(usize),
    Fail(usize),
    Kill(usize),
    Expire(usize),
    Rescue,
    AgentWrites,
    AgentStops { cleans_up: bool },
}

impl stateright::Model for Removal {
    type State = World;
    type Action = Action;

    /// An agent is at work.
    fn init_states(&self) -> Vec<World> {
        vec![World {
            row: Some(Row { status: Status::Running, has_remains: false, remove_at_once: false }),
            objects: Objects::Partial,
            is_writing: true,
            job: Job::None,
            deleters: [None; 3],
            budget: self.budget,
            illegal_move: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if let Some(row) = world.row {
            match row.status {
                // It may fail without the agent's having ended: told in vain to stop.
                Status::Running => {
                    actions.push(Action::Fails);
                    if world.is_writing {
                        actions.push(Action::Succeeds);
                    }
                }
                Status::Done | Status::Failed => actions.push(Action::Mark),
                Status::Deleted if !row.remove_at_once && !row.has_remains => {
                    if world.budget.second_thoughts > 0 && world.objects == Objects::Complete {
                        actions.push(Action::Undelete);
                    }
                }
                Status::Deleted => {}
            }
            if world.deleters[API].is_none() {
                actions.push(Action::ClientDeletes);
            }
            if world.job == Job::None && (row.status == Status::Deleted || row.has_remains) {
                actions.push(Action::Plan);
            }
        }
        if world.job == Job::Ready {
            let idle = world.deleters[..API].iter().position(Option::is_none);
            actions.extend(idle.map(Action::Claim));
        }
        if world.job == (Job::Held { by: None }) {
            actions.push(Action::Rescue);
        }
        for (index, deleter) in world.deleters.iter().enumerate() {
            let Some(deleter) = deleter else { continue };
            actions.push(Action::GoOn(index));
            let can_fail = match deleter.at {
                At::Asking => world.budget.losses > 0,
                At::Removing => world.budget.outages > 0,
                At::Marking | At::Recording => false,
            };
            if can_fail {
                actions.push(Action::Fail(index));
            }
            if world.budget.crashes > 0 {
                actions.push(Action::Kill(index));
            }
            if world.budget.expiries > 0 && deleter.has_lease {
                actions.push(Action::Expire(index));
            }
        }
        if world.is_writing {
            actions.extend([Action::AgentWrites, Action::AgentStops { cleans_up: true }]);
            actions.push(Action::AgentStops { cleans_up: false });
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = *before;
        match action {
            Action::Succeeds => {
                (world.is_writing, world.objects) = (false, Objects::Complete);
                set_status(&mut world, Status::Done);
            }
            Action::Fails => {
                set_status(&mut world, Status::Failed);
                if let Some(row) = &mut world.row {
                    row.has_remains = true;
                }
            }
            Action::Mark => mark(&mut world),
            Action::Undelete => {
                world.budget.second_thoughts -= 1;
                set_status(&mut world, Status::Done);
            }
            Action::ClientDeletes => self.begin(&mut world, API),
            Action::Plan => world.job = Job::Ready,
            Action::Claim(index) => {
                world.job = Job::Held { by: Some(index) };
                self.begin(&mut world, index);
            }
            Action::GoOn(index) => self.go_on(&mut world, index),
            Action::Fail(index) => {
                match world.deleters[index].map(|deleter| deleter.at) {
                    Some(At::Asking) => world.budget.losses -= 1,
                    Some(At::Marking | At::Removing | At::Recording) | None => world.budget.outages -= 1,
                }
                give_up(&mut world, index);
            }
            Action::Kill(index) => {
                world.budget.crashes -= 1;
                if world.job == (Job::Held { by: Some(index) }) {
                    world.job = Job::Held { by: None };
                }
                world.deleters[index] = None;
            }
            Action::Expire(index) => {
                world.budget.expiries -= 1;
                if let Some(deleter) = &mut world.deleters[index] {
                    deleter.has_lease = false;
                }
                world.job = Job::Ready;
            }
            Action::Rescue => world.job = Job::Ready,
            Action::AgentWrites => world.objects = Objects::Partial,
            Action::AgentStops { cleans_up } => {
                world.is_writing = false;
                if cleans_up {
                    world.objects = Objects::None;
                }
            }
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ROW, |_, world: &World| world.row.is_some() || world.objects == Objects::None),
            Property::always(MARKER, |_, world: &World| {
                // What is there belongs to a good backup, or somebody is going to remove it.
                world.objects == Objects::None
                    || world.row.is_some_and(|row| {
                        matches!(row.status, Status::Running | Status::Done | Status::Deleted)
                            || row.has_remains
                    })
            }),
            Property::always(GOOD, |_, world: &World| {
                world.row.is_none_or(|row| row.status != Status::Done) || world.objects == Objects::Complete
            }),
            Property::always(ARROWS, |_, world: &World| !world.illegal_move),
            Property::always(ENDS, |model: &Self, world: &World| {
                let mut actions = Vec::new();
                stateright::Model::actions(model, world, &mut actions);
                !actions.is_empty() || world.row.is_none()
            }),
        ];
        if self.variant == Variant::Right {
            properties
                .push(Property::sometimes("a backup is removed", |_, world: &World| world.row.is_none()));
            properties.push(Property::sometimes("remains are removed", |_, world: &World| {
                world.row.is_some_and(|row| row.status == Status::Failed && !row.has_remains)
            }));
        }
        properties
    }
}

const ROW: &str = "no row is removed while its objects may exist";
const MARKER: &str = "no object is without a row that asks for it or for its removal";
const GOOD: &str = "no clean-up touches a good backup";
const ARROWS: &str = "status moves along the arrows";
const ENDS: &str = "when nothing can happen any more, what was to go is gone";

impl Removal {
    /// The first transaction: what is chosen can no longer be undeleted. A client's request only looks.
    fn begin(&self, world: &mut World, index: usize) {
        let Some(row) = &mut world.row else { return finish(world, index) };
        let asks = row.has_remains && self.variant != Variant::AgentNotAsked;
        if index == API {
            let at = if asks { At::Asking } else { At::Marking };
            world.deleters[API] = Some(Deleter { has_lease: false, takes_row: true, has_asked: false, at });
            return;
        }
        let takes_row = row.status == Status::Deleted;
        if !takes_row && !row.has_remains {
            return finish(world, index);
        }
        row.remove_at_once |= takes_row;
        let at = if asks { At::Asking } else { self.first_step() };
        world.deleters[index] = Some(Deleter { has_lease: true, takes_row, has_asked: false, at });
    }

    fn first_step(&self) -> At {
        if self.variant == Variant::RowFirst { At::Recording } else { At::Removing }
    }

    fn go_on(&self, world: &mut World, index: usize) {
        let Some(mut deleter) = world.deleters[index] else { return };
        let row_first = self.variant == Variant::RowFirst;
        match deleter.at {
            At::Asking => {
                let order = admission::cancel(Some(1), world.is_writing, StopOrder::default());
                // What works on it is told to stop, and asked again later.
                if order == Cancellation::Stop {
                    return give_up(world, index);
                }
                deleter.has_asked = true;
                deleter.at = if index == API { At::Marking } else { self.first_step() };
            }
            At::Marking => {
                let Some(row) = &mut world.row else { return finish(world, index) };
                let is_news = row.has_remains && !deleter.has_asked;
                if row.status == Status::Running || is_news && self.variant == Variant::Right {
                    return finish(world, index);
                }
                row.remove_at_once = true;
                mark(world);
                deleter.at = self.first_step();
            }
            At::Removing => {
                world.objects = Objects::None;
                if row_first {
                    return finish(world, index);
                }
                deleter.at = At::Recording;
            }
            At::Recording => {
                if index != API && !deleter.has_lease {
                    return give_up(world, index);
                }
                record(world, deleter.takes_row);
                if !row_first {
                    return finish(world, index);
                }
                deleter.at = At::Removing;
            }
        }
        world.deleters[index] = Some(deleter);
    }
}

fn mark(world: &mut World) {
    if world.row.is_some_and(|row| row.status != Status::Deleted) {
        set_status(world, Status::Deleted);
    }
}

fn set_status(world: &mut World, status: Status) {
    if let Some(row) = &mut world.row {
        world.illegal_move |= !row.status.real().can_become(status.real());
        row.status = status;
    }
}

fn record(world: &mut World, takes_row: bool) {
    match &mut world.row {
        Some(row) if takes_row && row.status == Status::Deleted => world.row = None,
        Some(row) => row.has_remains = false,
        None => {}
    }
}

/// The job is over.
fn finish(world: &mut World, index: usize) {
    if world.job == (Job::Held { by: Some(index) }) {
        world.job = Job::None;
    }
    world.deleters[index] = None;
}

/// The attempt has failed: the job is tried again, or the next planning gives a new one.
fn give_up(world: &mut World, index: usize) {
    if world.job == (Job::Held { by: Some(index) }) {
        let ruling = Ruling::of(Err(JobError::retry("")), 1, 50, &Backoff::default());
        world.job = if matches!(ruling, Ruling::Retried(..)) { Job::Ready } else { Job::None };
    }
    world.deleters[index] = None;
}

#[test]
fn removal_breaks_no_promise() {
    let model = Removal { variant: Variant::Right, budget: BUDGET };
    let begun = std::time::Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).threads(2).spawn_bfs().join();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "removal: {} unique states, depth {}, {seconds:.1} s",
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

fn breaks(variant: Variant, promise: &'static str) {
    let until = HasDiscoveries::AllOf([promise].into());
    let checker = Removal { variant, budget: BUDGET }.checker().finish_when(until).spawn_bfs().join();
    let path = checker.discovery(promise).unwrap_or_else(|| panic!("{variant:?} does not break: {promise}"));
    println!("{variant:?} breaks \"{promise}\": {:?}", path.into_actions());
}

#[test]
fn a_deleter_that_removes_the_row_before_the_store_confirms_is_caught() {
    breaks(Variant::RowFirst, ROW);
}

#[test]
fn a_deleter_that_does_not_ask_the_agent_is_caught() {
    breaks(Variant::AgentNotAsked, ROW);
}

#[test]
fn a_clients_deletion_that_believes_an_old_look_is_caught() {
    breaks(Variant::StaleLook, ROW);
}
