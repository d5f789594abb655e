//! What `INFO` tells.

use std::collections::BTreeMap;

use super::connection::Connection;
use crate::drivers::DriverError;

/// The keys of a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) all: u64,
    /// Those with a time to live.
    pub(super) expiring: u64,
}

impl Keys {
    /// Those that stay.
    pub(super) fn lasting(self) -> u64 {
        self.all.saturating_sub(self.expiring)
    }
}

/// The lines `name:value` of all sections.
pub(super) struct Info(BTreeMap<String, String>);

impl Info {
    pub(super) fn read(connection: &mut Connection) -> Result<Self, DriverError> {
        let text = connection.command(&["INFO"])?.concat();
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Ok(Self(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == value
    }

    /// How many keys there are, by the number of their database; databases without keys are left out.
    pub(super) fn keyspace(&self) -> BTreeMap<u32, Keys> {
        let databases = self.0.iter().filter_map(|(name, value)| {
            let number = name.strip_prefix("db")?.parse().ok()?;
            let of = |wanted| value.split(',').find_map(|pair| pair.strip_prefix(wanted)?.parse().ok());
            Some((number, Keys { all: of("keys=")?, expiring: of("expires=")? }))
        });
        databases.collect()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }

    /// Valkey tells its own version beside the one of Redis it is compatible with.
    pub(super) fn version(&self) -> &str {
        match self.get("valkey_version") {
            "" => self.get("redis_version"),
            valkey => valkey,
        }
    }

    /// For comparing servers of one kind with each other: name of the kind, major, minor.
    pub(super) fn generation(&self) -> (bool, u32, u32) {
        let mut numbers = self.version().split('.').map(|number| number.parse().unwrap_or(0));
        let is_valkey = !self.get("valkey_version").is_empty();
        (is_valkey, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}
