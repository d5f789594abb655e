use chrono::{TimeZone, Utc};
use proptest::prelude::*;

use super::*;

fn limits(fleet: Option<i64>) -> Limits {
    Limits { fleet, kept_for_others: 25, ..Limits::default() }
}

fn holding(broker: &str, store: &str, held: i64) -> Holding {
    Holding { broker: broker.into(), store: store.into(), held }
}

fn standing(held: Vec<Holding>) -> Standing {
    Standing { held, brokers: 2, has_many_owners: true }
}

fn candidate(broker: &str, owner_held: i64, served_at: i64) -> Candidate {
    Candidate {
        line: served_at,
        broker: broker.into(),
        store: "s".into(),
        owner_held,
        served_at: Utc.timestamp_opt(served_at, 0).unwrap(),
        is_scheduled: false,
    }
}

#[test]
fn every_limit_that_binds_is_named_with_its_value_and_what_is_held() {
    let of = |limits: &Limits, held: i64, owner_held: i64| {
        let standing = standing(vec![holding("b", "s", held), holding("other", "s", 1)]);
        let found = hindrance(limits, &standing, &candidate("b", owner_held, 0));
        found.map(|found| (found.scope, found.limit, found.held, found.kept_for))
    };
    let none = Limits::default();
    assert_eq!(of(&none, 1_000_000, 1_000_000), None);
    assert_eq!(of(&limits(Some(8)), 4, 0), None);
    assert_eq!(of(&limits(Some(8)), 7, 0), Some((Scope::Fleet, 8, 8, None)));
    assert_eq!(of(&limits(Some(1)), 0, 0), Some((Scope::Fleet, 1, 1, None)));
    // Six of eight are held, five of them by a broker whose equal share is four.
    assert_eq!(of(&limits(Some(8)), 5, 0), Some((Scope::Fleet, 8, 6, Some(KeptFor::OtherBrokers))));
    let open = Limits { kept_for_others: 0, ..limits(Some(8)) };
    assert_eq!(of(&open, 5, 5), None);
    let broker = Limits { per_broker: Some(4), ..limits(None) };
    assert_eq!(of(&broker, 4, 0), Some((Scope::Broker, 4, 4, None)));
    assert_eq!(of(&broker, 3, 1), None);
    assert_eq!(of(&broker, 3, 2), Some((Scope::Broker, 4, 3, Some(KeptFor::OtherOwners))));
    let store = Limits { per_store: Some(3), ..limits(None) };
    assert_eq!(of(&store, 2, 0), Some((Scope::Store, 3, 3, None)));
}

#[test]
fn the_limit_of_a_single_broker_or_store_stands_in_place_of_that_of_each() {
    let mut given = Limits { per_broker: Some(1), per_store: Some(1), ..limits(None) };
    assert!(given.are_any());
    given.brokers.insert("b".into(), None);
    given.stores.insert("s".into(), Some(7));
    assert_eq!((given.of_broker("b"), given.of_broker("c")), (None, Some(1)));
    assert_eq!((given.of_store("s"), given.of_store("t")), (Some(7), Some(1)));
    let name = |scope, broker, store| given.name_of(scope, broker, store);
    assert_eq!(name(Scope::Fleet, "b", "s"), "limits.running_backups");
    assert_eq!(name(Scope::Broker, "b", "s"), "limits.brokers.b");
    assert_eq!(name(Scope::Broker, "c", "s"), "limits.running_backups_per_broker");
    assert_eq!(name(Scope::Store, "b", "s"), "limits.stores.s");
    assert_eq!(name(Scope::Store, "b", "t"), "limits.running_backups_per_store");
    let only = Limits { brokers: [("b".to_owned(), Some(2))].into(), ..limits(None) };
    assert!(only.are_any());
    assert_eq!((only.of_broker("b"), only.of_broker("c")), (Some(2), None));
}

#[test]
fn a_lone_broker_and_a_lone_owner_may_have_all_places() {
    let alone = Standing { held: vec![holding("b", "s", 7)], brokers: 1, has_many_owners: false };
    assert_eq!(hindrance(&limits(Some(8)), &alone, &candidate("b", 7, 0)), None);
}

#[test]
fn the_broker_with_the_fewest_places_is_next_then_the_owner_with_the_fewest_then_who_waited_longest() {
    let standing = standing(vec![holding("a", "s", 2), holding("b", "s", 1)]);
    let order =
        |candidates: &[Candidate]| next(&limits(Some(50)), &standing, candidates, 0).unwrap().0.clone();
    let (of_a, of_b) = (candidate("a", 0, 1), candidate("b", 1, 2));
    assert_eq!(order(&[of_a, of_b.clone()]), of_b);
    let (many, few) = (candidate("b", 1, 1), candidate("b", 0, 2));
    assert_eq!(order(&[many, few.clone()]), few);
    let (late, early) = (candidate("b", 1, 9), candidate("b", 1, 3));
    assert_eq!(order(&[late, early.clone()]), early);
}

#[test]
fn who_is_held_up_by_a_limit_holds_up_nobody_else() {
    let limits = Limits { per_broker: Some(2), ..limits(Some(50)) };
    let standing = standing(vec![holding("a", "s", 2), holding("b", "s", 1)]);
    let candidates = [candidate("a", 0, 1), candidate("b", 1, 2)];
    assert_eq!(next(&limits, &standing, &candidates, 0).unwrap().0.broker, "b");
    assert_eq!(next(&limits, &standing, &candidates[..1], 0), None);
}

#[test]
fn every_fourth_place_goes_to_the_schedule_and_all_others_to_who_asks() {
    let (on_demand, scheduled) =
        (candidate("a", 0, 1), Candidate { is_scheduled: true, ..candidate("a", 0, 2) });
    let candidates = [on_demand, scheduled];
    let mut in_a_row = 0;
    let turns: Vec<bool> = (0..12)
        .map(|_| {
            let (chosen, now) = next(&limits(None), &Standing::default(), &candidates, in_a_row).unwrap();
            in_a_row = now;
            chosen.is_scheduled
        })
        .collect();
    let round = [false, false, false, true];
    assert_eq!(turns, round.repeat(3));
    assert!(!next(&limits(None), &Standing::default(), &candidates[..1], 99).unwrap().0.is_scheduled);
    assert!(next(&limits(None), &Standing::default(), &candidates[1..], 0).unwrap().0.is_scheduled);
}

/// A fleet in the small: owners' waiting and running backups, by broker.
struct Fleet {
    limits: Limits,
    /// Broker, waiting on demand, waiting scheduled, running, served at.
    owners: Vec<(String, i64, i64, i64, i64)>,
    in_a_row: i32,
    clock: i64,
}

impl Fleet {
    fn standing(&self) -> Standing {
        let of = |owner: &(String, i64, i64, i64, i64)| holding(&owner.0, "s", owner.3);
        Standing { held: self.owners.iter().map(of).collect(), brokers: 3, has_many_owners: true }
    }

    /// As the statements find them: of each broker and class the owner with the fewest, served longest ago.
    fn heads(&self) -> Vec<Candidate> {
        let mut heads = Vec::new();
        for is_scheduled in [false, true] {
            for broker in ["a", "b", "c"] {
                let waits = |(_, owner): &(usize, &(String, i64, i64, i64, i64))| {
                    owner.0 == broker && if is_scheduled { owner.2 > 0 } else { owner.1 > 0 }
                };
                let first =
                    self.owners.iter().enumerate().filter(waits).min_by_key(|(at, o)| (o.3, o.4, *at));
                heads.extend(first.map(|(at, owner)| Candidate {
                    line: i64::try_from(at).unwrap(),
                    is_scheduled,
                    ..candidate(broker, owner.3, owner.4)
                }));
            }
        }
        heads
    }

    fn give(&mut self) -> Option<usize> {
        let (heads, standing) = (self.heads(), self.standing());
        let (chosen, in_a_row) = next(&self.limits, &standing, &heads, self.in_a_row)?;
        let at = usize::try_from(chosen.line).unwrap();
        self.in_a_row = in_a_row;
        self.clock += 1;
        let owner = &mut self.owners[at];
        if chosen.is_scheduled {
            owner.2 -= 1
        } else {
            owner.1 -= 1
        }
        owner.3 += 1;
        owner.4 = self.clock;
        Some(at)
    }
}

fn owner(broker: &str, on_demand: i64, scheduled: i64) -> (String, i64, i64, i64, i64) {
    (broker.into(), on_demand, scheduled, 0, 0)
}

#[test]
fn a_broker_whose_backups_never_end_leaves_the_others_their_share() {
    let mut fleet = Fleet {
        limits: limits(Some(20)),
        owners: vec![owner("a", 0, 10_000), owner("b", 0, 0), owner("c", 0, 0)],
        in_a_row: 0,
        clock: 0,
    };
    while fleet.give().is_some() {}
    assert_eq!(fleet.owners[0].3, 15, "it was alone, and left a quarter");
    for _ in 0..1000 {
        fleet.owners[1].2 = 5;
        while let Some(at) = fleet.give() {
            assert_eq!(at, 1, "nothing of the first ever ends");
        }
        assert_eq!(fleet.owners[1].3, 5, "all of the second begin at once");
        fleet.owners[1].3 = 0;
    }
}

#[test]
fn thousands_of_one_owner_delay_a_single_one_of_another_by_one_place_at_most() {
    let mut fleet = Fleet {
        limits: limits(Some(10)),
        owners: vec![owner("a", 5000, 5000), owner("a", 0, 0)],
        in_a_row: 0,
        clock: 0,
    };
    while fleet.give().is_some() {}
    for is_scheduled in [false, true] {
        let asks = &mut fleet.owners[1];
        if is_scheduled {
            asks.2 = 1
        } else {
            asks.1 = 1
        }
        fleet.owners[0].3 -= 1;
        let mut given = 0;
        while fleet.owners[1].1 + fleet.owners[1].2 > 0 {
            given += 1;
            assert!(fleet.give().is_some());
            fleet.owners[0].3 -= 1;
        }
        assert!(given <= 4, "the schedule's share is a quarter: {given}");
        fleet.owners[1].3 = 0;
        while fleet.give().is_some() {}
    }
}

proptest! {
    /// Whatever is asked and ends in whichever order: no limit is exceeded, and as long as backups end, everybody's begin.
    #[test]
    fn no_limit_is_ever_exceeded_and_nobody_starves(
        asks in prop::collection::vec((0_usize..6, any::<bool>(), 1_i64..20), 1..40),
        fleet_limit in 1_i64..12,
        broker_limit in prop::option::of(1_i64..6),
        kept in 0_i64..=50,
        ends in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let names = ["a", "a", "a", "b", "b", "c"];
        let mut fleet = Fleet {
            limits: Limits { fleet: Some(fleet_limit), per_broker: broker_limit, kept_for_others: kept, ..Limits::default() },
            owners: names.iter().map(|name| owner(name, 0, 0)).collect(),
            in_a_row: 0,
            clock: 0,
        };
        let mut ends = ends.iter().cycle();
        let mut asks = asks.into_iter();
        for _ in 0..10_000 {
            let asked = asks.next();
            if let Some((at, is_scheduled, many)) = asked {
                let owner = &mut fleet.owners[at];
                if is_scheduled { owner.2 += many } else { owner.1 += many }
            }
            while fleet.give().is_some() {
                prop_assert!(fleet.standing().total() <= fleet_limit);
                for broker in ["a", "b", "c"] {
                    let held = fleet.standing().sum(|holding| holding.broker == broker);
                    prop_assert!(broker_limit.is_none_or(|limit| held <= limit));
                }
            }
            let running: Vec<usize> = (0..names.len()).filter(|at| fleet.owners[*at].3 > 0).collect();
            match running.is_empty() {
                false => {
                    let at = ends.next().unwrap().get(&running);
                    fleet.owners[*at].3 -= 1;
                }
                true if asked.is_none() => break,
                true => {}
            }
        }
        let waiting: i64 = fleet.owners.iter().map(|owner| owner.1 + owner.2).sum();
        prop_assert_eq!(waiting, 0, "{:?}", fleet.owners);
    }
}
