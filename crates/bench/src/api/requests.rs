//! What is asked of the API, and the numbers of the rows it is asked about. Every number is a sum of a base and the
//! number of an instance, so that load generators can make up any of them, and a value in a log tells what it is.

use std::fmt::Write;

/// Added to an instance's number in its GUID and in its backup GUID: twelve digits, as in the last group of a UUID.
pub(super) const NUMBER_BASE: u64 = 100_000_000_000;
/// The rest of an instance's GUID.
pub(super) const GUID: &str = "7c9e6679-7425-40de-944b-";
/// The rest of an instance's backup GUID.
pub(super) const BACKUP_GUID: &str = "5f1d7a84-3b1e-4c55-9d07-";
/// Row ids of instances.
pub(super) const INSTANCE_BASE: u64 = 1_000_000_000;
/// Row ids of backups, generation after generation.
pub(super) const BACKUP_BASE: u64 = 2_000_000_000;
/// Row ids of encryption keys.
pub(super) const KEY_BASE: u64 = 3_000_000_000;
/// Row ids of what is inserted after the seeding.
pub(super) const NEW_BASE: u64 = 4_000_000_000;

/// The instances and their history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet {
    /// How many instances.
    pub(super) instances: u32,
    /// How many backups in all: a multiple of the instances.
    pub(super) backups: u32,
}

impl Fleet {
    pub(super) fn new(instances: u32, backups: u32) -> Self {
        let each = backups.checked_div(instances).unwrap_or(1).max(1);
        Self { instances, backups: instances.saturating_mul(each) }
    }

    pub(super) fn with_one_backup_each(self) -> Self {
        Self { backups: self.instances, ..self }
    }

    /// Backups of each instance.
    pub(super) fn generations(&self) -> u32 {
        self.backups.checked_div(self.instances).unwrap_or(1)
    }

    /// Lua that makes random numbers of this fleet.
    pub(super) fn prelude(&self) -> String {
        let mut lua = String::new();
        let _ = write!(
            lua,
            "local function instance() return math.random(1, {instances}) end\n\
             local function guid(i) return string.format('{GUID}%.0f', {NUMBER_BASE} + i) end\n\
             local function backup(i) return string.format('%.0f', {BACKUP_BASE} + math.random(0, {last}) * {instances} + i) end\n\
             local function page() return math.random(1, {pages}) end",
            instances = self.instances,
            last = self.generations().saturating_sub(1),
            pages = self.instances.div_ceil(100),
        );
        lua
    }

    /// The path of a request, for the first instance.
    pub(super) fn example(&self, request: &Request) -> String {
        request
            .path
            .replace("{guid}", &format!("{GUID}{}", NUMBER_BASE.saturating_add(1)))
            .replace("{backup}", &BACKUP_BASE.saturating_add(1).to_string())
            .replace("{page}", "1")
    }
}

/// A request with random parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    /// As it stands in the tables.
    pub(super) title: &'static str,
    pub(super) method: &'static str,
    /// With `{guid}`, `{backup}` and `{page}`.
    pub(super) path: &'static str,
    /// Fewer connections than asked for, because one answer is megabytes.
    pub(super) most_connections: u32,
}

pub(super) const POST: Request = Request {
    title: "POST /instances/{id}/backups",
    method: "POST",
    path: "/instances/{guid}/backups",
    most_connections: u32::MAX,
};

pub(super) const GET_ONE: Request = Request {
    title: "GET /instances/{id}/backups/{id}",
    method: "GET",
    path: "/instances/{guid}/backups/{backup}",
    most_connections: u32::MAX,
};

pub(super) const LIST_BACKUPS: Request = Request {
    title: "GET /instances/{id}/backups",
    method: "GET",
    path: "/instances/{guid}/backups",
    most_connections: u32::MAX,
};

pub(super) const PAGE: Request = Request {
    title: "GET /instances?page=N&per_page=100",
    method: "GET",
    path: "/instances?page={page}&per_page=100",
    most_connections: 4,
};

impl Request {
    /// Lua that returns a random path.
    pub(super) fn lua(&self) -> String {
        let path = self
            .path
            .replace("{guid}", "' .. guid(i) .. '")
            .replace("{backup}", "' .. backup(i) .. '")
            .replace("{page}", "' .. page() .. '");
        format!("local i = instance(); return '{path}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_gets_the_same_number_of_backups() {
        let fleet = Fleet::new(10_000, 1_000_000);
        assert_eq!((fleet.generations(), fleet.backups), (100, 1_000_000));
        let odd = Fleet::new(3, 10);
        assert_eq!((odd.generations(), odd.backups), (3, 9));
        assert_eq!(Fleet::new(10, 3).backups, 10);
        assert_eq!(fleet.with_one_backup_each().generations(), 1);
    }

    #[test]
    fn a_request_is_a_path_for_people_and_lua_for_wrk() {
        let example = Fleet::new(1, 1).example(&GET_ONE);
        assert_eq!(example, "/instances/7c9e6679-7425-40de-944b-100000000001/backups/2000000001");
        assert_eq!(
            GET_ONE.lua(),
            "local i = instance(); return '/instances/' .. guid(i) .. '/backups/' .. backup(i) .. ''"
        );
    }
}
