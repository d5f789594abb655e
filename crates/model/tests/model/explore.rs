//! The exploration: the right model keeps every promise in every state, each wrong one breaks its own, and from every
//! state the world gets well by itself.

use std::collections::hash_map::{DefaultHasher, HashMap};
use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

use stateright::{Checker, Expectation, HasDiscoveries, Model as _};

use crate::state::{Budget, World};
use crate::{AT_MOST_ONCE, LEASE, Model, STALE, Variant};

/// Nothing may go wrong.
const CALM: Budget = Budget {
    worker_crashes: 0,
    agent_crashes: 0,
    losses: 0,
    refusals: 0,
    rejections: 0,
    duplicates: 0,
    expiries: 0,
    wishes: 0,
    deletions: 0,
    outages: 0,
};

/// Processes die, a lease expires under a living worker, and somebody cancels.
const CRASHES: Budget = Budget { worker_crashes: 2, agent_crashes: 2, expiries: 1, wishes: 1, ..CALM };

/// Messages are lost, late or doubled while a lease expires.
const LOSSES: Budget = Budget { losses: 2, duplicates: 1, expiries: 1, wishes: 1, ..CALM };

/// An agent that is stopping refuses with 429, and copies of what it refused arrive later.
const BUSY: Budget = Budget { agent_crashes: 1, losses: 1, duplicates: 2, wishes: 1, deletions: 1, ..CALM };

/// What stands between worker and agent misbehaves, and nobody wants the result any longer.
const BETWEEN: Budget = Budget { losses: 1, refusals: 1, rejections: 1, wishes: 1, deletions: 1, ..CALM };

/// The store is away when it is asked what the agent reports.
const OUTAGE: Budget =
    Budget { worker_crashes: 1, agent_crashes: 1, expiries: 1, wishes: 1, outages: 2, ..CALM };

/// For two operations of one instance.
const PAIR: Budget = Budget { agent_crashes: 1, losses: 1, wishes: 1, ..CALM };

/// The same, with the death of a worker instead of a loss.
const PAIR_CRASHES: Budget = Budget { worker_crashes: 1, agent_crashes: 1, wishes: 1, ..CALM };

const fn model(operations: usize, budget: Budget) -> Model {
    Model { variant: Variant::Right, operations, restores: false, budget }
}

/// `BACKUP_MODEL_BUDGET` replaces the bounds: ten numbers in the order of the fields of [`Budget`].
fn bounds(model: Model) -> Model {
    let Ok(text) = std::env::var("BACKUP_MODEL_BUDGET") else { return model };
    let numbers: Vec<u8> = text.split(',').map(|number| number.trim().parse().unwrap()).collect();
    let &[
        worker_crashes,
        agent_crashes,
        losses,
        refusals,
        rejections,
        duplicates,
        expiries,
        wishes,
        deletions,
        outages,
    ] = numbers.as_slice()
    else {
        panic!("ten numbers are needed")
    };
    let budget = Budget {
        worker_crashes,
        agent_crashes,
        losses,
        refusals,
        rejections,
        duplicates,
        expiries,
        wishes,
        deletions,
        outages,
    };
    Model { budget, ..model }
}

fn holds(name: &str, model: Model) {
    let model = bounds(model);
    let begun = std::time::Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).threads(2).spawn_bfs().join();
    println!(
        "{name}: {} unique states, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    for property in model.properties() {
        let found = checker.discovery(property.name);
        match (property.expectation, found) {
            (Expectation::Sometimes, None) => panic!("never: {}", property.name),
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                let end = path.last_state().clone();
                panic!("broken: {}, by {:?}, which ends in {end:#?}", property.name, path.into_actions())
            }
            _ => {}
        }
    }
}

#[test]
fn crashes_and_a_lost_lease_break_no_promise() {
    holds("crashes", model(1, CRASHES));
}

#[test]
fn lost_late_and_doubled_messages_break_no_promise() {
    holds("losses", model(1, LOSSES));
}

#[test]
fn refusals_and_second_thoughts_break_no_promise() {
    holds("between", model(1, BETWEEN));
}

#[test]
fn copies_of_what_a_busy_agent_refused_break_no_promise() {
    holds("busy", model(1, BUSY));
}

#[test]
fn a_store_that_is_away_breaks_no_promise() {
    holds("outage", model(1, OUTAGE));
}

#[test]
fn two_operations_of_one_instance_break_no_promise() {
    holds("pair", model(2, PAIR));
}

#[test]
fn a_backup_and_a_restore_of_one_instance_break_no_promise() {
    holds("backup and restore", Model { restores: true, ..model(2, PAIR) });
}

#[test]
fn two_operations_and_crashes_of_both_sides_break_no_promise() {
    holds("pair with crashes", Model { restores: true, ..model(2, PAIR_CRASHES) });
}

/// Asserts that the checker finds a way to break `promise`, and prints it.
fn breaks(variant: Variant, budget: Budget, promise: &'static str) {
    let model = Model { variant, operations: 1, restores: false, budget };
    let until = HasDiscoveries::AllOf(BTreeSet::from([promise]));
    let checker = model.checker().finish_when(until).spawn_bfs().join();
    let path = checker.discovery(promise).unwrap_or_else(|| panic!("{variant:?} does not break: {promise}"));
    println!("{variant:?} breaks \"{promise}\": {:?}", path.into_actions());
}

#[test]
fn an_agent_that_accepts_a_stale_epoch_is_caught() {
    breaks(Variant::NoFence, LOSSES, AT_MOST_ONCE);
    breaks(Variant::NoFence, LOSSES, STALE);
}

#[test]
fn an_agent_that_forgets_at_its_restart_is_caught() {
    breaks(Variant::NoJournal, Budget { agent_crashes: 1, ..LOSSES }, AT_MOST_ONCE);
}

#[test]
fn a_worker_that_does_not_confirm_its_lease_is_caught() {
    breaks(Variant::NoLease, CRASHES, LEASE);
}

/// Invariant 1: from every reachable state, without anything more going wrong, all operations can end. Stronger than
/// that no state is a dead end: no loop of waiting is one either.
#[test]
fn from_every_state_everything_can_end_without_more_luck() {
    let crashes = Budget { worker_crashes: 1, agent_crashes: 1, ..CRASHES };
    for (operations, budget) in [(1, crashes), (1, LOSSES), (1, BETWEEN), (2, CALM)] {
        let (states, stuck) = stuck(model(operations, budget));
        println!("{states} states, {} of them stuck", stuck.len());
        assert!(stuck.is_empty(), "nothing ends from here: {:#?}", stuck.first());
    }
}

/// All states, and those from which no healthy steps lead to the end of all operations.
fn stuck(model: Model) -> (usize, Vec<World>) {
    let key = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let mut numbers: HashMap<u64, usize> = HashMap::new();
    let mut worlds = Vec::new();
    let mut predecessors: Vec<Vec<u32>> = Vec::new();
    let mut ended = VecDeque::new();
    for world in model.init_states() {
        numbers.insert(key(&world), worlds.len());
        worlds.push(world);
        predecessors.push(Vec::new());
    }
    let mut next = 0;
    while next < worlds.len() {
        let world = worlds[next].clone();
        if world.rows.iter().all(|row| row.status.is_over()) {
            ended.push_back(next);
        }
        let mut actions = Vec::new();
        model.actions(&world, &mut actions);
        for action in actions {
            let Some(successor) = model.next_state(&world, action) else { continue };
            let number = *numbers.entry(key(&successor)).or_insert_with(|| {
                worlds.push(successor);
                predecessors.push(Vec::new());
                worlds.len() - 1
            });
            if action.is_healthy() {
                predecessors[number].push(u32::try_from(next).unwrap());
            }
        }
        next += 1;
    }
    let mut can_end = vec![false; worlds.len()];
    while let Some(number) = ended.pop_front() {
        if !std::mem::replace(&mut can_end[number], true) {
            ended.extend(predecessors[number].iter().map(|before| *before as usize));
        }
    }
    let count = worlds.len();
    let stuck =
        worlds.into_iter().zip(can_end).filter_map(|(world, ends)| (!ends).then_some(world)).collect();
    (count, stuck)
}
