//! The installation itself: a folder with everything in it, and the processes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use private_postgres::OwnedDirectory;
use private_postgres::process::free_port;

use crate::agent_process::AgentProcess;
use crate::certificates::Certificates;
use crate::daemon::Daemon;
use crate::files::random_secret;
use crate::manager_file::loopback;
use crate::plan::Plan;
use crate::programs::Programs;
use crate::{agent_file, manager_file, probe};

/// How long a daemon may take to come up on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A prepared or running installation; everything is stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Installation {
    /// The API, the first one if there are several.
    pub api: Daemon,
    /// The further API processes of [`Plan::apis`].
    pub more_apis: Vec<Daemon>,
    /// The processes of the worker groups, group by group in the order of the configuration.
    pub workers: Vec<Daemon>,
    pub(crate) agents: Vec<AgentProcess>,
    /// HTTP and HTTPS of each API.
    pub(crate) addresses: Vec<(SocketAddr, SocketAddr)>,
    pub(crate) store_directory: PathBuf,
    pub(crate) certificates: Certificates,
    pub(crate) password: String,
    pub(crate) agent_password: String,
    // Last: removed when the processes are gone.
    pub(crate) directory: OwnedDirectory,
}

const UNIT_OF_API: &str = include_str!("../../../deploy/systemd/backup-manager-api.service");
const UNIT_OF_WORKER: &str = include_str!("../../../deploy/systemd/backup-manager-worker@.service");

/// How a systemd unit sets up the allocator: a daemon started here is measured as one installed.
fn allocator_settings(unit: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let variables = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
    variables
        .filter(|variable| variable.starts_with("MALLOC_"))
        .filter_map(|variable| variable.split_once('='))
}

impl Installation {
    /// Writes all files of the plan into a new temporary folder; starts nothing.
    ///
    /// # Errors
    /// When a program is not built, or the plan contradicts itself.
    pub fn prepare(plan: &Plan) -> anyhow::Result<Self> {
        let programs = Programs::beside_this_one()?;
        let directory = OwnedDirectory::create(&std::env::temp_dir(), "backup-manager.")?;
        let path = directory.path().to_owned();
        for folder in ["logs", "store", "tls"] {
            std::fs::create_dir(path.join(folder))?;
        }
        let mut installation = Self {
            api: Daemon::new("api", &programs.find("backup-manager-api")?, &[], &path.join("logs")),
            more_apis: Vec::new(),
            workers: Vec::new(),
            agents: Vec::new(),
            addresses: Vec::new(),
            store_directory: plan.store_directory.clone().unwrap_or_else(|| path.join("store")),
            certificates: Certificates::generate(&path.join("tls"))?,
            password: random_secret(),
            agent_password: random_secret(),
            directory,
        };
        installation.prepare_agents(plan, &programs)?;
        installation.prepare_apis(plan, &programs)?;
        installation.prepare_workers(plan, &programs)?;
        if plan.has_clocks {
            installation.give_clocks()?;
        }
        manager_file::write(&installation, plan)?;
        Ok(installation)
    }

    fn prepare_apis(&mut self, plan: &Plan, programs: &Programs) -> anyhow::Result<()> {
        let program = programs.find("backup-manager-api")?;
        for number in 1..=plan.apis.unwrap_or(1).max(1) {
            let file = self.manager_file_of_api(number).display().to_string();
            let name = if number == 1 { "api".to_owned() } else { format!("api-{number}") };
            let mut api = Daemon::new(&name, &program, &["--config", &file], &self.log_directory());
            for (name, value) in allocator_settings(UNIT_OF_API) {
                api.set_environment(name, value);
            }
            self.addresses.push((loopback(free_port()?), loopback(free_port()?)));
            if number == 1 {
                self.api = api;
            } else {
                self.more_apis.push(api);
            }
        }
        Ok(())
    }

    fn prepare_workers(&mut self, plan: &Plan, programs: &Programs) -> anyhow::Result<()> {
        let program = programs.find("backup-manager-worker")?;
        let file = self.manager_file().display().to_string();
        for group in 1..=plan.worker_groups.as_ref().map_or(4, Vec::len) {
            for number in 1..=plan.processes_per_group.unwrap_or(1) {
                let name =
                    if number == 1 { format!("worker-{group}") } else { format!("worker-{group}-{number}") };
                let arguments = ["--config", &file, "--group", &group.to_string()];
                let mut worker = Daemon::new(&name, &program, &arguments, &self.log_directory());
                for (name, value) in allocator_settings(UNIT_OF_WORKER) {
                    worker.set_environment(name, value);
                }
                self.workers.push(worker);
            }
        }
        Ok(())
    }

    fn give_clocks(&mut self) -> anyhow::Result<()> {
        let folder = self.directory().join("clocks");
        std::fs::create_dir(&folder)?;
        self.daemons_mut().try_for_each(|daemon| {
            let file = folder.join(daemon.name());
            daemon.give_clock(&file)
        })
    }

    fn prepare_agents(&mut self, plan: &Plan, programs: &Programs) -> anyhow::Result<()> {
        for agent in &plan.agents {
            let state = self.directory().join(&agent.name);
            std::fs::create_dir(&state)
                .with_context(|| format!("is the agent {} there twice?", agent.name))?;
            let address = agent.address.map_or_else(|| free_port().map(loopback), Ok)?;
            let file = self.directory().join(format!("{}.yml", agent.name));
            agent_file::write(self, agent, address, &file, &state)?;
            let program = programs.find("backup-agent")?;
            let arguments = ["serve", "--config", &file.display().to_string()];
            let scheme = if agent.is_tls { "https" } else { "http" };
            self.agents.push(AgentProcess {
                daemon: Daemon::new(&agent.name, &program, &arguments, &self.directory().join("logs")),
                name: agent.name.clone(),
                address,
                url: format!("{scheme}://{address}"),
            });
        }
        Ok(())
    }

    /// Starts agents, APIs and workers and waits until `/v2/healthy` says 200.
    ///
    /// # Errors
    /// With the last lines of the log of what did not come up.
    pub fn start(&mut self) -> anyhow::Result<()> {
        for agent in &mut self.agents {
            agent.start()?;
        }
        self.start_api()?;
        let addresses = self.addresses.iter().skip(1);
        self.more_apis.iter_mut().zip(addresses).try_for_each(|(api, at)| start_listener(api, *at))?;
        self.start_workers()?;
        self.wait_until_healthy()
    }

    /// Starts the (first) API and waits until it listens.
    ///
    /// # Errors
    /// With the last lines of its log.
    pub fn start_api(&mut self) -> anyhow::Result<()> {
        let addresses = self.first_addresses();
        start_listener(&mut self.api, addresses)
    }

    /// Starts all worker processes.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start_workers(&mut self) -> anyhow::Result<()> {
        self.workers.iter_mut().try_for_each(Daemon::start)
    }

    /// Waits until `/v2/healthy` says 200.
    ///
    /// # Errors
    /// When a process has ended, with its log; after half a minute, with what the API says instead.
    pub fn wait_until_healthy(&mut self) -> anyhow::Result<()> {
        let (http, _) = self.first_addresses();
        for worker in &mut self.workers {
            worker.wait_until("alive", PATIENCE, |_| true)?;
        }
        let healthy = |_: &Daemon| matches!(probe::get(http, "/v2/healthy"), Ok((200, _)));
        let result = self.api.wait_until("healthy", PATIENCE, healthy);
        for worker in &mut self.workers {
            if !worker.is_running()? {
                anyhow::bail!("{} ended:\n{}", worker.name(), worker.log_tail(20));
            }
        }
        result.with_context(|| format!("/v2/healthy says: {:?}", probe::get(http, "/v2/healthy")))
    }

    /// Asks every process to stop and waits; those that do not stop in time are killed.
    pub fn stop(&mut self) {
        std::thread::scope(|scope| {
            for daemon in self.daemons_mut() {
                // One that does not run needs no stopping.
                scope.spawn(move || drop(daemon.terminate(Duration::from_secs(10))));
            }
        });
    }
}

fn start_listener(api: &mut Daemon, (http, https): (SocketAddr, SocketAddr)) -> anyhow::Result<()> {
    api.start()?;
    api.wait_until("listening", PATIENCE, |_| probe::is_open(http) && probe::is_open(https))
}
