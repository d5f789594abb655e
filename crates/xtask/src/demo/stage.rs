//! Everything that runs during the demo: two PostgreSQL servers and an installation of the manager.

use std::time::Duration;

use anyhow::{Context, ensure};
use local_installation::{AgentPlan, BrokerPlan, Installation, Plan, random_secret};
use private_postgres::process::ChildProcess;
use private_postgres::{Options, Server};

use super::Chaos;
use super::dataset::{self, Filled, MAIN_DATABASE};

/// The service instance's GUID.
pub(super) const INSTANCE: &str = "3b8a0d1e-demo-4c5f-9f0a-postgresql01";
/// How long a killed worker can delay a job.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// What the demo promises of its largest table.
const BIG_TABLE_BYTES: u64 = 100 * 1024 * 1024;
const AGENT: &str = "agent";

/// Dropped in this order: first the processes, then their servers.
#[derive(Debug)]
pub(super) struct Stage {
    /// Connections of the instance's users, which a restore has to cut.
    clients: Vec<ChildProcess>,
    /// The manager, prepared or running.
    pub installation: Installation,
    /// The service instance.
    pub instance: Server,
    /// The manager's own database.
    pub manager_database: Server,
    /// What the instance holds.
    pub filled: Filled,
}

impl Stage {
    /// Starts both servers, fills the instance and writes the configuration; the manager is not started yet.
    pub(super) fn build() -> anyhow::Result<Self> {
        let (instance, manager_database) = std::thread::scope(|scope| {
            let filled = scope.spawn(|| -> anyhow::Result<_> {
                let server = Server::start_with(Options::default().durable().password(random_secret()))?;
                let filled =
                    dataset::fill(&server, dataset::DEMO_EVENTS).context("the data set cannot be loaded")?;
                ensure!(
                    filled.big_table_bytes >= BIG_TABLE_BYTES,
                    "the largest table is not large: {filled:?}"
                );
                Ok((server, filled))
            });
            let manager = Server::start_with(Options::default().durable().password(random_secret()))?;
            manager.create_database("backup_manager")?;
            let filled =
                filled.join().map_err(|_| anyhow::anyhow!("the thread that fills the instance panicked"))?;
            anyhow::Ok((filled?, manager))
        })?;
        let (instance, filled) = instance;
        let agent = AgentPlan::postgresql(AGENT, &instance);
        let plan = Plan::new(manager_database.url("backup_manager"))
            .agent(agent)
            .broker(BrokerPlan::static_inventory("demo", "postgresql").instance(INSTANCE, AGENT))
            .setting("jobs.watcher.interval", "500ms")
            .setting("jobs.lease", format!("{}s", LEASE.as_secs()));
        let installation = Installation::prepare(&plan)?;
        Ok(Self { clients: Vec::new(), installation, instance, manager_database, filled })
    }

    /// Makes the schedule that asks the brokers due, instead of waiting for its next time.
    pub(super) fn ask_brokers_now(&self) -> anyhow::Result<()> {
        let sql = "UPDATE schedules SET next_run_at = now() WHERE name = 'update_instance_state'";
        self.manager_database.psql("backup_manager", sql).map(drop)
    }

    /// Somebody is connected to the instance while it is restored, as somebody always is.
    pub(super) fn connect_client(&mut self) -> anyhow::Result<()> {
        let mut command = self.instance.client("psql", MAIN_DATABASE);
        command.args(["--no-psqlrc", "--quiet", "--command=SELECT pg_sleep(3600)"]);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        self.clients.push(ChildProcess::spawn(command)?);
        Ok(())
    }

    /// Kills a party as a crash would and starts it again half a second later.
    pub(super) fn kill_and_restart(&mut self, party: Chaos) -> anyhow::Result<()> {
        let pause = Duration::from_millis(500);
        match party {
            Chaos::Agent => {
                let agent = self.installation.agents_mut().first_mut().context("there is an agent")?;
                agent.daemon.kill()?;
                std::thread::sleep(pause);
                agent.start()
            }
            Chaos::Api => {
                self.installation.api.kill()?;
                std::thread::sleep(pause);
                self.installation.start_api()
            }
            Chaos::Worker => {
                // The first and the last group serve the queue of the backup watcher.
                let workers = &mut self.installation.workers;
                let last = workers.len().saturating_sub(1);
                for (_, worker) in
                    workers.iter_mut().enumerate().filter(|(index, _)| [0, last].contains(index))
                {
                    worker.kill()?;
                }
                std::thread::sleep(pause);
                for (_, worker) in
                    workers.iter_mut().enumerate().filter(|(index, _)| [0, last].contains(index))
                {
                    worker.start()?;
                }
                Ok(())
            }
        }
    }

    /// Stops everything in order; what remains goes when the stage is dropped.
    pub(super) fn end(&mut self) {
        self.clients.clear();
        self.installation.stop();
    }
}
