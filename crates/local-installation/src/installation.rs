//! The installation itself: a folder with everything in it, and the processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use private_postgres::OwnedDirectory;
use private_postgres::process::free_port;

use crate::certificates::Certificates;
use crate::daemon::Daemon;
use crate::files::random_secret;
use crate::manager_file::loopback;
use crate::plan::Plan;
use crate::programs::Programs;
use crate::{agent_file, manager_file, probe};

/// How long a daemon may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A prepared or running installation; everything is stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Installation {
    /// The API.
    pub api: Daemon,
    /// One process per worker group, in the order of the configuration.
    pub workers: Vec<Daemon>,
    agents: Vec<AgentProcess>,
    http: SocketAddr,
    https: SocketAddr,
    certificates: Certificates,
    password: String,
    agent_password: String,
    // Last: removed when the processes are gone.
    directory: OwnedDirectory,
}

/// A real agent of the installation.
#[derive(Debug)]
pub struct AgentProcess {
    /// The process.
    pub daemon: Daemon,
    name: String,
    address: SocketAddr,
    url: String,
}

impl AgentProcess {
    /// The name in the plan.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts the process and waits until it listens.
    ///
    /// # Errors
    /// With the last lines of its log.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let address = self.address;
        self.daemon.start()?;
        self.daemon.wait_until("listening", PATIENCE, |_| probe::is_open(address))
    }
}

/// How the API's systemd unit sets up the allocator: an API started here is measured as one installed.
fn allocator_settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unit = include_str!("../../../deploy/systemd/backup-manager-api.service");
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
        let file = path.join("backup-manager.yml").display().to_string();
        let logs = path.join("logs");
        let api_program = programs.find("backup-manager-api")?;
        let mut installation = Self {
            api: Daemon::new("api", &api_program, &["--config", &file], &logs),
            workers: Vec::new(),
            agents: Vec::new(),
            http: loopback(free_port()?),
            https: loopback(free_port()?),
            certificates: Certificates::generate(&path.join("tls"))?,
            password: random_secret(),
            agent_password: random_secret(),
            directory,
        };
        installation.prepare_agents(plan, &programs)?;
        let groups = plan.worker_groups.as_ref().map_or(4, Vec::len);
        for group in 1..=groups {
            let worker_program = programs.find("backup-manager-worker")?;
            let arguments = ["--config", &file, "--group", &group.to_string()];
            let daemon = Daemon::new(&format!("worker-{group}"), &worker_program, &arguments, &logs);
            installation.workers.push(daemon);
        }
        for (name, value) in allocator_settings() {
            installation.api.set_environment(name, value);
        }
        manager_file::write(&installation, plan)?;
        Ok(installation)
    }

    fn prepare_agents(&mut self, plan: &Plan, programs: &Programs) -> anyhow::Result<()> {
        for agent in &plan.agents {
            let state = self.directory().join(&agent.name);
            std::fs::create_dir(&state)
                .with_context(|| format!("is the agent {} there twice?", agent.name))?;
            let address = loopback(free_port()?);
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

    /// Starts agents, API and workers and waits until `/v2/healthy` says 200.
    ///
    /// # Errors
    /// With the last lines of the log of what did not come up.
    pub fn start(&mut self) -> anyhow::Result<()> {
        for agent in &mut self.agents {
            agent.start()?;
        }
        self.start_api()?;
        self.start_workers()?;
        self.wait_until_healthy()
    }

    /// Starts the API and waits until it listens.
    ///
    /// # Errors
    /// With the last lines of its log.
    pub fn start_api(&mut self) -> anyhow::Result<()> {
        let (http, https) = (self.http, self.https);
        self.api.start()?;
        self.api.wait_until("listening", PATIENCE, |_| probe::is_open(http) && probe::is_open(https))
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
        let http = self.http;
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
        let agents = self.agents.iter_mut().map(|agent| &mut agent.daemon);
        let all: Vec<&mut Daemon> = self.workers.iter_mut().chain([&mut self.api]).chain(agents).collect();
        std::thread::scope(|scope| {
            for daemon in all {
                // One that does not run needs no stopping.
                scope.spawn(move || drop(daemon.terminate(Duration::from_secs(10))));
            }
        });
    }
}

/// Where things are.
impl Installation {
    /// The folder of everything.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The folder of the logs.
    #[must_use]
    pub fn log_directory(&self) -> PathBuf {
        self.directory().join("logs")
    }

    /// The configuration of API and workers.
    #[must_use]
    pub fn manager_file(&self) -> PathBuf {
        self.directory().join("backup-manager.yml")
    }

    /// The inventory of a static broker; edit it to add or delete instances.
    #[must_use]
    pub fn inventory_file(&self, broker: &str) -> PathBuf {
        self.directory().join(format!("inventory-{broker}.yml"))
    }

    /// The directory of the store that manager and agents share.
    #[must_use]
    pub fn store_directory(&self) -> PathBuf {
        self.directory().join("store")
    }

    /// `http://127.0.0.1:PORT` of the API.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// `https://127.0.0.1:PORT` of the API; its certificate is signed by [`Certificates::authority`].
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://{}", self.https)
    }

    pub(crate) fn http_address(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn https_address(&self) -> SocketAddr {
        self.https
    }

    /// The certificates of API and agents.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The operator's name.
    #[must_use]
    pub fn user(&self) -> &'static str {
        "admin"
    }

    /// The operator's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The user the agents accept.
    #[must_use]
    pub fn agent_user(&self) -> &'static str {
        "backup-manager"
    }

    /// The password the agents accept.
    #[must_use]
    pub fn agent_password(&self) -> &str {
        &self.agent_password
    }

    /// The agents of the plan, in its order.
    #[must_use]
    pub fn agents(&self) -> &[AgentProcess] {
        &self.agents
    }

    /// The agents of the plan, to be killed and started.
    #[must_use]
    pub fn agents_mut(&mut self) -> &mut [AgentProcess] {
        &mut self.agents
    }

    /// Every process.
    pub fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        [&self.api].into_iter().chain(&self.workers).chain(self.agents.iter().map(|agent| &agent.daemon))
    }
}
