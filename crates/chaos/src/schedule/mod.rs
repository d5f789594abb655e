//! Which faults are injected when: a pure function of seed and number. What excludes each other (two things done to one
//! process, a failover while the standby is being built) is told apart by occupying resources; all else may overlap.
//! The vocabulary is in [`fault`].

pub mod fault;

use std::collections::HashMap;

pub use fault::{Fault, Kind, Parameter, Parties, Target};

use crate::dice::Dice;

/// Within so many faults every kind occurs.
pub const BLOCK: usize = 60;

/// Between two faults, in milliseconds; one and a quarter seconds on average.
const GAP_MS: (u64, u64) = (600, 1900);
/// A failover occupies the database until the new standby has caught up.
const FAILOVER_MS: u64 = 12_000;
/// The database is left in peace for a while after each blow, so that work gets done between them.
const DATABASE_REST_MS: u64 = 4_000;
/// The same for processes, so that a worker comes to work before it is hit again.
const PROCESS_REST_MS: u64 = 1_500;

/// What can be hit by one fault at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Resource {
    Process(Target),
    Road(Target),
    Database,
    Store,
}

/// The schedule of a seed: the same seed, number and parties give the same schedule.
#[must_use]
pub fn plan(seed: u64, faults: usize, parties: Parties) -> Vec<Fault> {
    let mut dice = Dice::of(seed, 0x5C4E_D01E);
    let mut occupied: HashMap<Resource, u64> = HashMap::new();
    let mut planned = Vec::with_capacity(faults);
    let mut hand: Vec<Kind> = Vec::new();
    let mut at_ms = 2_000;
    while planned.len() < faults {
        if hand.is_empty() {
            hand = deal(&mut dice);
        }
        // The first of the hand whose resource is free; a kind is put off, never left out.
        let drawn = hand.iter().enumerate().find_map(|(position, kind)| {
            let mut thrown = dice.clone();
            let target = draw_target(*kind, &mut thrown, &occupied, at_ms, parties)?;
            dice = thrown;
            Some((position, *kind, target))
        });
        if let Some((position, kind, target)) = drawn {
            hand.remove(position);
            let number = planned.len().saturating_add(1);
            let fault = shape(kind, target, number, at_ms, &mut dice);
            let (resource, rest_ms) = resource(kind, target);
            occupied.insert(resource, at_ms.saturating_add(fault.lasts_ms).saturating_add(rest_ms));
            planned.push(fault);
        }
        at_ms = at_ms.saturating_add(dice.between(GAP_MS.0, GAP_MS.1));
    }
    planned
}

/// One of each kind, the rest by weight, in any order.
fn deal(dice: &mut Dice) -> Vec<Kind> {
    let mut hand: Vec<Kind> = Kind::ALL.iter().map(|(kind, _)| *kind).collect();
    let weights: u64 = Kind::ALL.iter().map(|(_, weight)| weight).sum();
    while hand.len() < BLOCK {
        let mut left = dice.between(1, weights);
        for (kind, weight) in Kind::ALL {
            if left <= weight {
                hand.push(kind);
                break;
            }
            left = left.saturating_sub(weight);
        }
    }
    dice.shuffle(&mut hand);
    hand
}

fn draw_target(
    kind: Kind,
    dice: &mut Dice,
    occupied: &HashMap<Resource, u64>,
    at_ms: u64,
    parties: Parties,
) -> Option<Target> {
    let free: Vec<Target> = candidates(kind, parties)
        .into_iter()
        .filter(|target| occupied.get(&resource(kind, *target).0).is_none_or(|until| *until <= at_ms))
        .collect();
    dice.pick(&free).copied()
}

fn candidates(kind: Kind, parties: Parties) -> Vec<Target> {
    use Kind::*;
    match kind {
        KillApi | PauseApi | ApiDropBefore | ApiDropAfter | ApiDuplicate | ApiDelay | ApiHalfAnswer
        | ApiError => (0..parties.apis).map(Target::Api).collect(),
        KillWorker | PauseWorker | ClockWorker => (0..parties.workers).map(Target::Worker).collect(),
        KillAgent | PauseAgent | ClockAgent | AgentRefuses | AgentDropBefore | AgentDropAfter
        | AgentDuplicate | AgentLateCopy | AgentDelay | AgentHalfAnswer | AgentRubbish | AgentError => {
            (0..parties.agents).map(Target::Agent).collect()
        }
        PostgresRestart | PostgresPause | PostgresFailover | ClockDatabase => vec![Target::Database],
        DiskFull => vec![Target::Store],
    }
}

/// What a fault occupies, and how long it is left alone afterwards.
fn resource(kind: Kind, target: Target) -> (Resource, u64) {
    use Kind::*;
    match kind {
        KillApi | PauseApi | KillWorker | PauseWorker | ClockWorker | KillAgent | PauseAgent | ClockAgent => {
            (Resource::Process(target), PROCESS_REST_MS)
        }
        PostgresRestart | PostgresPause | PostgresFailover | ClockDatabase => {
            (Resource::Database, DATABASE_REST_MS)
        }
        DiskFull => (Resource::Store, DATABASE_REST_MS),
        _ => (Resource::Road(target), 0),
    }
}

fn shape(kind: Kind, target: Target, number: usize, at_ms: u64, dice: &mut Dice) -> Fault {
    use Kind::*;
    let lasts_ms = match kind {
        KillApi | KillWorker | KillAgent => dice.between(200, 4_000),
        // Beyond the lease of three seconds, mostly.
        PauseWorker => dice.between(2_500, 9_000),
        PauseApi | PauseAgent => dice.between(1_000, 8_000),
        AgentDelay | ApiDelay => dice.between(1_500, 4_000),
        PostgresRestart => dice.between(200, 1_500),
        PostgresPause => dice.between(1_500, 7_000),
        PostgresFailover => FAILOVER_MS,
        DiskFull => dice.between(3_000, 8_000),
        ClockDatabase => dice.between(2_000, 6_000),
        ClockWorker | ClockAgent => dice.between(3_000, 12_000),
        // Long enough to be met by something.
        _ => dice.between(3_000, 9_000),
    };
    let parameter = match kind {
        AgentDelay => Parameter::HeldBackMs(*dice.pick(&[700, 2_500, 12_000, 35_000]).unwrap_or(&700)),
        AgentLateCopy => Parameter::HeldBackMs(dice.between(300, 8_000)),
        ApiDelay => Parameter::HeldBackMs(*dice.pick(&[500, 3_000, 12_000]).unwrap_or(&500)),
        AgentError => Parameter::Status(*dice.pick(&[400, 404, 409, 429, 500, 503]).unwrap_or(&500)),
        ApiError => Parameter::Status(*dice.pick(&[500, 502, 503]).unwrap_or(&500)),
        AgentRubbish => Parameter::Rubbish(u8::try_from(dice.between(0, 3)).unwrap_or(0)),
        ClockDatabase | ClockWorker | ClockAgent => Parameter::JumpSeconds(jump(dice)),
        _ => Parameter::None,
    };
    Fault { number, at_ms, kind, target, lasts_ms, parameter }
}

/// Minutes to a little more than a day, forward or back.
fn jump(dice: &mut Dice) -> i64 {
    let size = *dice.pick(&[60, 600, 3_600, 14_400, 90_000]).unwrap_or(&60);
    if dice.happens(60) { size } else { -size }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PARTIES: Parties = Parties { apis: 2, workers: 8, agents: 20 };

    #[test]
    fn the_same_seed_plans_the_same_faults() {
        assert_eq!(plan(42, 200, PARTIES), plan(42, 200, PARTIES));
        assert_ne!(plan(42, 200, PARTIES), plan(43, 200, PARTIES));
        assert_eq!(plan(42, 200, PARTIES)[..60], plan(42, 60, PARTIES)[..], "more faults only continue");
    }

    #[test]
    fn sixty_faults_have_every_kind() {
        for seed in 0..200 {
            let planned = plan(seed, BLOCK, PARTIES);
            let kinds: HashSet<Kind> = planned.iter().map(|fault| fault.kind).collect();
            assert_eq!(kinds.len(), Kind::ALL.len(), "seed {seed}");
            assert_eq!(planned.len(), BLOCK);
        }
    }

    #[test]
    fn nothing_is_hit_by_two_faults_that_exclude_each_other() {
        for seed in 0..50 {
            let planned = plan(seed, 300, PARTIES);
            for (position, fault) in planned.iter().enumerate() {
                let end = fault.at_ms + fault.lasts_ms;
                let mine = resource(fault.kind, fault.target).0;
                let clash = planned[position + 1..]
                    .iter()
                    .find(|later| resource(later.kind, later.target).0 == mine && later.at_ms < end);
                assert!(clash.is_none(), "seed {seed}: {fault} / {}", clash.unwrap());
            }
        }
    }

    #[test]
    fn faults_come_every_second_or_two_and_overlap() {
        let planned = plan(7, 1000, PARTIES);
        let mean = planned.last().unwrap().at_ms / 1000;
        assert!((1000..=1500).contains(&mean), "{mean} ms");
        let overlaps =
            planned.windows(2).filter(|pair| pair[1].at_ms < pair[0].at_ms + pair[0].lasts_ms).count();
        assert!(overlaps > 500, "{overlaps}");
    }
}
