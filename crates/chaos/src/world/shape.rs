//! How large the world is, and how fast it lives: the settings that make an hour of a platform fit into a minute.

use local_installation::Plan;

use crate::facts::Millis;
use crate::schedule::Parties;

const MEGABYTE: u64 = 1 << 20;

/// Numbers of everything.
#[derive(Debug, Clone)]
pub struct Shape {
    /// API daemons.
    pub apis: usize,
    /// Processes of each of the four default worker groups.
    pub processes_per_group: usize,
    /// Agents, each with an instance.
    pub agents: usize,
    /// How many of them are beside PostgreSQL servers; the others have directories.
    pub postgres_agents: usize,
    /// `jobs.lease`.
    pub lease: Millis,
    /// `jobs.poll_interval`.
    pub poll: Millis,
    /// `jobs.backup_agent.timeout`.
    pub timeout: Millis,
    /// `min_backups_per_instance`.
    pub min_backups: usize,
    /// Size of the store's disk.
    pub disk_bytes: u64,
    /// Whether processes have wall clocks that can be moved; without `libfaketime` they have not.
    pub has_clocks: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            apis: 2,
            processes_per_group: 2,
            agents: 20,
            postgres_agents: 2,
            lease: 3_000,
            poll: 300,
            timeout: 60_000,
            min_backups: 2,
            disk_bytes: 2048 * MEGABYTE,
            has_clocks: true,
        }
    }
}

/// The default groups, with more workers in each: an agent that keeps one waiting for half a minute shall not keep all.
const GROUPS: [(Option<&str>, u32); 4] = [
    (Some("backup_all_job, backup_agent_backups, backup_watcher_job"), 4),
    (Some("restore_watcher_job"), 2),
    (Some("initialize_backup_deletion_job, backup_deleter_job"), 2),
    (None, 3),
];

impl Shape {
    /// Who can be hit.
    #[must_use]
    pub fn parties(&self) -> Parties {
        let workers = self.processes_per_group.saturating_mul(GROUPS.len());
        Parties { apis: self.apis, workers, agents: self.agents }
    }

    /// Bytes of the directory of an instance: mostly little, three with enough to be hit in the middle of.
    #[must_use]
    pub fn bytes(&self, position: usize) -> u64 {
        match position % 6 {
            2 => 24 * MEGABYTE,
            3 => 4 * MEGABYTE,
            _ => MEGABYTE / 2,
        }
    }

    /// The settings.
    #[must_use]
    pub fn plan(&self, database_url: &str) -> Plan {
        let ms = |ms: Millis| format!("{ms}ms");
        let plan = Plan::new(database_url);
        let plan = if self.has_clocks { plan.clocks() } else { plan };
        plan.apis(self.apis)
            .processes_per_group(self.processes_per_group)
            .worker_groups(&GROUPS)
            .setting("min_backups_per_instance", self.min_backups)
            .setting("min_backup_age", 0)
            .setting("undo_window", "4s")
            // The harness fires these by hand; a clock that jumps shall not make them due.
            .setting("full_backup_repeat", "0 0 29 2 *")
            .setting("delete_backup_repeat", "0 0 29 2 *")
            .setting("jobs.watcher.interval", "400ms")
            .setting("jobs.poll_interval", ms(self.poll))
            .setting("jobs.lease", ms(self.lease))
            .setting("jobs.backup_agent.timeout", ms(self.timeout))
            .setting("jobs.backup_agent.cancel_wait", "4s")
            .setting("jobs.shutdown_timeout", "5s")
            .setting("database.connect_timeout", "60s")
            .setting("database.pool_size", 6)
            .setting("listen.drain", "0s")
    }
}
