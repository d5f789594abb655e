//! Limits of running backups, and whose turn it is when a place falls free. Pure: the facts are gathered and the places are
//! given in `crates/core/src/actions/places.rs`; `docs/decisions.md` says why the order is as it is.
//!
//! A backup holds a place from before its first dispatch until it is over. On-demand backups go first, but every fourth
//! place goes to the schedule if it has any. Within that the broker with the fewest places comes first, in it the owner with
//! the fewest, then who was served longest ago, then the oldest.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// So many on-demand backups in a row get a place while the schedule's wait for one.
const ON_DEMAND_IN_A_ROW: i32 = 3;

/// The operator's limits; none of them means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of the whole fleet.
    pub fleet: Option<i64>,
    /// Of each broker's instances.
    pub per_broker: Option<i64>,
    /// Into each store.
    pub per_store: Option<i64>,
    /// Of single brokers, in place of [`Limits::per_broker`].
    pub brokers: BTreeMap<String, Option<i64>>,
    /// Into single stores, in place of [`Limits::per_store`].
    pub stores: BTreeMap<String, Option<i64>>,
    /// Percent of a limit's places that are kept for those below their share.
    pub kept_for_others: i64,
}

impl Limits {
    /// Whether there is any limit.
    pub fn are_any(&self) -> bool {
        let one_of = |limits: &BTreeMap<String, Option<i64>>| limits.values().any(Option::is_some);
        [self.fleet, self.per_broker, self.per_store].iter().any(Option::is_some)
            || one_of(&self.brokers)
            || one_of(&self.stores)
    }

    /// The key of a limit in the configuration.
    pub fn name_of(&self, scope: Scope, broker: &str, store: &str) -> String {
        match scope {
            Scope::Fleet => "limits.running_backups".to_owned(),
            Scope::Broker if self.brokers.contains_key(broker) => format!("limits.brokers.{broker}"),
            Scope::Broker => "limits.running_backups_per_broker".to_owned(),
            Scope::Store if self.stores.contains_key(store) => format!("limits.stores.{store}"),
            Scope::Store => "limits.running_backups_per_store".to_owned(),
        }
    }

    fn of_broker(&self, name: &str) -> Option<i64> {
        self.brokers.get(name).copied().unwrap_or(self.per_broker)
    }

    fn of_store(&self, name: &str) -> Option<i64> {
        self.stores.get(name).copied().unwrap_or(self.per_store)
    }
}

/// Who holds how many places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Places by broker and store.
    pub held: Vec<Holding>,
    /// How many brokers are configured.
    pub brokers: i64,
    /// Instances belong to more than one owner.
    pub has_many_owners: bool,
}

/// The places of one broker's instances for backups into one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The broker.
    pub broker: String,
    /// The store.
    pub store: String,
    /// How many.
    pub held: i64,
}

impl Standing {
    fn sum(&self, counts: impl Fn(&Holding) -> bool) -> i64 {
        self.held.iter().filter(|holding| counts(holding)).map(|holding| holding.held).sum()
    }

    /// All places that are held.
    pub fn total(&self) -> i64 {
        self.sum(|_| true)
    }
}

/// The first in line of one owner's backups at one broker, into one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The number of the line.
    pub line: i64,
    /// The broker of its instances.
    pub broker: String,
    /// The store of its backups.
    pub store: String,
    /// Places the owner holds in this line.
    pub owner_held: i64,
    /// When the line was served last, or first waited.
    pub served_at: DateTime<Utc>,
    /// Asked for by the schedule.
    pub is_scheduled: bool,
}

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole fleet's.
    Fleet,
    /// The broker's.
    Broker,
    /// The store's.
    Store,
}

/// For whom the last places are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeptFor {
    /// For brokers that hold less than their equal share.
    OtherBrokers,
    /// For owners that hold less than half.
    OtherOwners,
}

impl KeptFor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OtherBrokers, Self::OtherOwners];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherBrokers => "other_brokers",
            Self::OtherOwners => "other_owners",
        }
    }
}

/// Why a backup gets no place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hindrance {
    /// The limit that binds.
    pub scope: Scope,
    /// Its value.
    pub limit: i64,
    /// Places that are held under it.
    pub held: i64,
    /// None when all places are held.
    pub kept_for: Option<KeptFor>,
}

/// The first limit that keeps the candidate from a place; none: it can have one.
pub fn hindrance(limits: &Limits, standing: &Standing, candidate: &Candidate) -> Option<Hindrance> {
    let (broker, store) = (candidate.broker.as_str(), candidate.store.as_str());
    let of_broker = |holding: &Holding| holding.broker == broker;
    let of_store = |holding: &Holding| holding.store == store;
    let scopes = [
        (Scope::Fleet, limits.fleet, standing.total(), standing.sum(of_broker)),
        (Scope::Broker, limits.of_broker(broker), standing.sum(of_broker), 0),
        (
            Scope::Store,
            limits.of_store(store),
            standing.sum(of_store),
            standing.sum(|holding| of_broker(holding) && of_store(holding)),
        ),
    ];
    scopes.into_iter().find_map(|(scope, limit, held, brokers_own)| {
        let limit = limit?;
        let kept = limit.saturating_mul(limits.kept_for_others) / 100;
        if held < limit.saturating_sub(kept) {
            return None;
        }
        let is_above_share = brokers_own.saturating_mul(standing.brokers) >= limit;
        let is_above_half = candidate.owner_held.saturating_mul(2) >= limit;
        let kept_for = if held >= limit {
            None
        } else if scope != Scope::Broker && standing.brokers > 1 && is_above_share {
            Some(KeptFor::OtherBrokers)
        } else if standing.has_many_owners && is_above_half {
            Some(KeptFor::OtherOwners)
        } else {
            return None;
        };
        Some(Hindrance { scope, limit, held, kept_for })
    })
}

/// Whose turn it is, and how many on-demand backups have had theirs in a row then.
pub fn next<'a>(
    limits: &Limits,
    standing: &Standing,
    candidates: &'a [Candidate],
    on_demand_in_a_row: i32,
) -> Option<(&'a Candidate, i32)> {
    let can_have_one = |candidate: &&Candidate| hindrance(limits, standing, candidate).is_none();
    let first = |is_scheduled: bool| {
        let of_class = candidates.iter().filter(|candidate| candidate.is_scheduled == is_scheduled);
        of_class.filter(can_have_one).min_by_key(|candidate| {
            let brokers_own = standing.sum(|holding| holding.broker == candidate.broker);
            (brokers_own, candidate.owner_held, candidate.served_at, candidate.line)
        })
    };
    match (first(false), first(true)) {
        (Some(on_demand), None) => Some((on_demand, 0)),
        (Some(on_demand), Some(_)) if on_demand_in_a_row < ON_DEMAND_IN_A_ROW => {
            Some((on_demand, on_demand_in_a_row.saturating_add(1)))
        }
        (_, scheduled) => scheduled.map(|scheduled| (scheduled, 0)),
    }
}

#[cfg(test)]
mod tests;
