//! A worker group as a runner of the queue.

use backup_config::{Settings, WorkerGroup};
use backup_core::Manager;
use backup_core::store::connection_string;
use backup_queue::{Backoff, Runner, RunnerConfig};
use secrecy::ExposeSecret;

use crate::jobs::registry;

/// Which group a process runs, and under which name.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// Written into the jobs it claims: different for every process and group.
    pub name: String,
    /// Its queues and how many workers share them.
    pub group: WorkerGroup,
}

impl GroupSettings {
    /// Names a group after host, process and number, so that an operator finds the process that holds a job. The
    /// random end keeps a restarted process from taking the leases of its predecessor for its own.
    pub fn new(number: usize, group: WorkerGroup) -> Self {
        let host =
            nix::unistd::gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
        let random = uuid::Uuid::new_v4().simple().to_string();
        let random = random.get(..6).unwrap_or_default().to_owned();
        Self { name: format!("{host}/{}/group-{number}/{random}", std::process::id()), group }
    }
}

/// The runner of one group; `count` workers are as many jobs at a time.
pub fn runner(manager: &Manager, settings: &Settings, group: GroupSettings) -> Runner {
    let config = RunnerConfig {
        name: group.name,
        queues: group.group.queues,
        concurrency: group.group.count,
        lease: settings.jobs.lease.get(),
        poll_interval: settings.jobs.poll_interval.get(),
        shutdown_timeout: settings.jobs.shutdown_timeout.get(),
        backoff: Backoff::default(),
    };
    let url = connection_string(settings.database.url.expose_secret());
    let handlers = registry(&manager.with_slots(group.group.count));
    let runner = Runner::new(manager.database.pool().clone(), url, handlers, config);
    match manager.database.bell() {
        Some(bell) => runner.bell(bell.clone()),
        None => runner,
    }
}
