//! `limits`: how many backups run at once, in the whole fleet, per broker and per store.

use std::collections::BTreeMap;

use backup_core::domain::places::Limits;
use serde::Deserialize;

use crate::bounds::Bounds;

const LARGEST: i64 = 1_000_000;

/// The `limits` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Most backups running at once in the whole fleet; none means no limit, here and below.
    pub running_backups: Option<i64>,
    /// Most backups running at once of each broker's instances.
    pub running_backups_per_broker: Option<i64>,
    /// Most backups running at once into each store.
    pub running_backups_per_store: Option<i64>,
    /// Of single brokers, by name, in place of the limit of each.
    pub brokers: BTreeMap<String, Option<i64>>,
    /// Of single stores, by name, in place of the limit of each.
    pub stores: BTreeMap<String, Option<i64>>,
    /// Percent of a limit that are kept for those below their share.
    pub kept_for_others: i64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            running_backups: None,
            running_backups_per_broker: None,
            running_backups_per_store: None,
            brokers: BTreeMap::new(),
            stores: BTreeMap::new(),
            kept_for_others: 25,
        }
    }
}

impl LimitSettings {
    pub(crate) fn check(&self, brokers: &[&str], stores: &[&str], bounds: &mut Bounds) {
        let single = [
            ("running_backups", self.running_backups),
            ("running_backups_per_broker", self.running_backups_per_broker),
            ("running_backups_per_store", self.running_backups_per_store),
        ];
        for (key, limit) in single {
            check_limit(&format!("limits.{key}"), limit, bounds);
        }
        check_names("limits.brokers", &self.brokers, ("service_brokers", brokers), bounds);
        check_names("limits.stores", &self.stores, ("stores", stores), bounds);
        bounds.number("limits.kept_for_others", self.kept_for_others, 0..=50, "percent");
    }

    pub(crate) fn core(&self) -> Limits {
        Limits {
            fleet: self.running_backups,
            per_broker: self.running_backups_per_broker,
            per_store: self.running_backups_per_store,
            brokers: self.brokers.clone(),
            stores: self.stores.clone(),
            kept_for_others: self.kept_for_others,
        }
    }
}

fn check_names(
    key: &str,
    limits: &BTreeMap<String, Option<i64>>,
    (list, known): (&str, &[&str]),
    bounds: &mut Bounds,
) {
    for (name, limit) in limits {
        let path = format!("{key}.{name}");
        let allowed = format!("a name from {list}: {}", known.join(", "));
        bounds.require(known.contains(&name.as_str()), &path, &format!("{name:?}"), &allowed);
        check_limit(&path, *limit, bounds);
    }
}

fn check_limit(path: &str, limit: Option<i64>, bounds: &mut Bounds) {
    if let Some(limit) = limit {
        bounds.number(path, limit, 1..=LARGEST, "or null for no limit");
    }
}
