//! What serde cannot see: bounds, names that must exist, names that must differ.

use std::collections::BTreeSet;
use std::time::Duration;

use backup_daemon::config::Mistake;
use secrecy::ExposeSecret;

use crate::bounds::Bounds;
use crate::connection_string;
use crate::settings::Settings;
use crate::workers::{self, WorkerGroup};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A shorter operator's key could be guessed.
const SHORTEST_KEY: usize = 16;
/// How the key in the example file begins: everybody knows it.
const PLACE_HOLDER: &str = "replace-this-by";
const CONNECTION_STRING: &str = "postgres://user:password@host:5432/database with special characters percent-encoded, or host=… user=… password=… dbname=…";
const SECOND: Duration = Duration::from_secs(1);

impl Settings {
    /// Everything that is wrong for a worker.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut bounds = Bounds::default();
        self.check_schedules(&mut bounds);
        self.check_numbers(&mut bounds);
        self.check_durations(&mut bounds);
        self.history.check(&mut bounds);
        self.check_keys(&mut bounds);
        self.check_names(&mut bounds);
        if let Err(mistakes) = workers::groups(&self.workers) {
            bounds.mistakes.extend(mistakes);
        }
        bounds.mistakes
    }

    /// What is wrong for the API alone.
    pub(crate) fn api_mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.listen.mistakes();
        mistakes.extend(self.auth.mistakes());
        mistakes
    }

    /// The checked worker groups; empty only in settings that were never checked.
    pub fn worker_groups(&self) -> Vec<WorkerGroup> {
        workers::groups(&self.workers).unwrap_or_default()
    }

    /// Queues that no worker group serves: allowed, but worth a loud word.
    pub fn unserved_queues(&self) -> Vec<&'static str> {
        workers::unserved(&self.worker_groups())
    }

    fn check_numbers(&self, bounds: &mut Bounds) {
        bounds.number("full_backup_spread", self.full_backup_spread, 0..=1440, "minutes");
        bounds.number("verify_backup_budget", self.verify_backup_budget, 1..=1000, "rehearsals");
        bounds.number("min_backups_per_instance", self.min_backups_per_instance, 0..=10_000, "");
        bounds.number("min_backup_age", self.min_backup_age, 0..=36_500, "days");
        let key = "retention_time_for_backups_of_a_deleted_instance";
        bounds.number(key, self.retention_time_for_backups_of_a_deleted_instance, 0..=36_500, "days");
        let key = "custom_encryption_key_min_length";
        bounds.number(key, self.custom_encryption_key_min_length, 1..=1000, "characters");
        bounds.number("jobs.backup_agent.max_attempts", self.jobs.backup_agent.max_attempts, 1..=1000, "");
        let largest = 1024 * 1024 * 1024 * 1024;
        bounds.number(
            "backups.file_size_limit",
            self.backups.file_size_limit,
            1024 * 1024..=largest,
            "bytes",
        );
        bounds.number("backups.compression_level", self.backups.compression_level, 1..=19, "");
        bounds.number("database.pool_size", self.database.pool_size, 1..=1000, "connections");
    }

    fn check_durations(&self, bounds: &mut Bounds) {
        let tick = Duration::from_millis(50);
        let hour = Duration::from_secs(3600);
        bounds.duration("undo_window", self.undo_window, Duration::ZERO..=DAY.saturating_mul(365));
        bounds.duration(
            "jobs.backup_agent.timeout",
            self.jobs.backup_agent.timeout,
            SECOND..=DAY.saturating_mul(30),
        );
        bounds.duration("jobs.backup_agent.cancel_wait", self.jobs.backup_agent.cancel_wait, SECOND..=hour);
        bounds.duration("jobs.watcher.interval", self.jobs.watcher.interval, tick..=hour);
        bounds.duration("jobs.lease", self.jobs.lease, SECOND..=hour);
        bounds.duration("jobs.poll_interval", self.jobs.poll_interval, tick..=Duration::from_secs(300));
        bounds.duration("jobs.shutdown_timeout", self.jobs.shutdown_timeout, Duration::ZERO..=hour);
        bounds.duration(
            "database.acquire_timeout",
            self.database.acquire_timeout,
            tick..=Duration::from_secs(60),
        );
        bounds.duration("database.connect_timeout", self.database.connect_timeout, Duration::ZERO..=hour);
    }

    fn check_keys(&self, bounds: &mut Bounds) {
        let list = "backup_manager_encryption_keys";
        bounds.require(
            !self.backup_manager_encryption_keys.is_empty(),
            list,
            "an empty list",
            "at least one key",
        );
        let mut ids = BTreeSet::new();
        for (index, key) in self.backup_manager_encryption_keys.iter().enumerate() {
            let path = format!("{list}[{index}].id");
            let length = key.id.chars().count();
            bounds.require((1..=100).contains(&length), &path, "another length", "1 to 100 characters");
            bounds.require(
                ids.insert(&key.id),
                &path,
                &format!("{:?} a second time", key.id),
                "different ids",
            );
            let is_long = key.key.expose_secret().chars().count() >= SHORTEST_KEY;
            let path = format!("{list}[{index}].key");
            let allowed = "at least 16 random characters, for example from: openssl rand -base64 32";
            bounds.require(is_long, &path, "a shorter text", allowed);
            let is_own = !key.key.expose_secret().trim().starts_with(PLACE_HOLDER);
            bounds.require(is_own, &path, "the place-holder of the example file", allowed);
        }
        if let Err(found) = connection_string::check(self.database.url.expose_secret()) {
            bounds.mistakes.push(Mistake::new("database.url", found, CONNECTION_STRING));
        }
    }

    fn check_names(&self, bounds: &mut Bounds) {
        let stores: Vec<&str> = self.stores.keys().map(String::as_str).collect();
        bounds.require(!stores.is_empty(), "stores", "no store", "at least one");
        for (name, store) in &self.stores {
            for fault in store.faults() {
                bounds.require(false, &format!("stores.{name}.{}", fault.key), &fault.found, fault.allowed);
            }
        }
        let brokers: Vec<&str> = self.service_brokers.iter().map(|broker| broker.name.as_str()).collect();
        self.limits.check(&brokers, &stores, bounds);
        bounds.require(!self.service_brokers.is_empty(), "service_brokers", "an empty list", "at least one");
        let mut names = BTreeSet::new();
        for (index, broker) in self.service_brokers.iter().enumerate() {
            let path = format!("service_brokers[{index}]");
            broker.check(&path, bounds);
            let found = format!("{:?} a second time", broker.name);
            bounds.require(names.insert(&broker.name), &format!("{path}.name"), &found, "different names");
            let is_known = self.stores.contains_key(&broker.store);
            let allowed = format!("a name from stores: {}", stores.join(", "));
            bounds.require(is_known, &format!("{path}.store"), &format!("{:?}", broker.store), &allowed);
        }
    }
}
