//! The stage: a durable PostgreSQL server, the simulated fleet, and the real API and workers between them.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_installation::{BrokerPlan, Daemon, Installation, Plan};
use private_postgres::process::free_port;
use private_postgres::{Options as ServerOptions, Server};

use super::Options;
use super::shape::{BROKERS, CREDENTIAL, SERVER_NAME, Shape, broker_name};
use super::simulation::{Behaviour, Look, Start};
use crate::http::Client;
use crate::postgres::SETTINGS;

/// The manager's database.
const DATABASE: &str = "backup_manager";

/// The processes, by what they do, in the order of [`GROUPS`].
pub(super) const WORKERS: [&str; 4] =
    ["worker: backups and their watching", "worker: restores", "worker: deletions", "worker: instances"];

/// Queues of the worker groups: the default ones, but that the last serves nothing that the first serves, so that it is
/// clear who did the work.
const GROUPS: [&str; 4] = [
    "backup_all_job, backup_agent_backups, backup_watcher_job",
    "restore_watcher_job",
    "initialize_backup_deletion_job, backup_deleter_job",
    "update_instance_state_job",
];

/// A minute that does not come during a measurement.
const NEVER: &str = "0 0 1 1 *";

/// Everything that runs; stopped and removed when dropped.
pub(super) struct Stage {
    // First: stopped before its database.
    pub(super) installation: Installation,
    simulation: Daemon,
    pub(super) server: Server,
    pub(super) shape: Shape,
    control: Client,
    /// How many backups have been asked for one by one in the steady state.
    pub(super) on_demand: Cell<u32>,
}

impl Stage {
    /// Starts everything but the workers.
    pub(super) fn start(options: &Options, instances: u32) -> anyhow::Result<Self> {
        let settings = SETTINGS.iter().copied().chain([
            ("shared_preload_libraries", "pg_stat_statements"),
            ("pg_stat_statements.max", "10000"),
            ("track_io_timing", "off"),
        ]);
        let server = settings
            .fold(ServerOptions::default().durable(), |options, (name, value)| options.setting(name, value));
        let server = Server::start_with(server)?;
        server.create_database(DATABASE)?;
        server.psql(DATABASE, "CREATE EXTENSION pg_stat_statements")?;
        let (agents, control) = (free_port()?, free_port()?);
        let installation = Installation::prepare(&plan(options, &server, agents, control))?;
        let simulation = simulation(&installation, instances, agents, control)?;
        let control = Client {
            address: format!("127.0.0.1:{control}"),
            authorization: basic(CREDENTIAL.0, CREDENTIAL.1),
        };
        let shape = Shape { instances };
        let mut stage = Self { installation, simulation, server, shape, control, on_demand: Cell::new(0) };
        stage.simulation.start()?;
        stage.simulation.wait_for_log("ready", Duration::from_secs(10))?;
        stage.installation.start_api()?;
        Ok(stage)
    }

    /// Starts one worker process.
    pub(super) fn start_worker(&mut self, group: usize) -> anyhow::Result<()> {
        self.worker(group)?.start()
    }

    /// Stops one worker process.
    pub(super) fn stop_worker(&mut self, group: usize) -> anyhow::Result<()> {
        self.worker(group)?.terminate(Duration::from_secs(60)).map(drop)
    }

    /// Sets a variable in one worker process' environment, from its next start on.
    pub(super) fn set_environment(&mut self, group: usize, name: &str, value: &str) -> anyhow::Result<()> {
        self.worker(group)?.set_environment(name, value);
        Ok(())
    }

    fn worker(&mut self, group: usize) -> anyhow::Result<&mut Daemon> {
        self.installation.workers.get_mut(group).context("there is no such worker group")
    }

    /// Names and process ids of what runs of the product.
    pub(super) fn processes(&self) -> Vec<(&'static str, u32)> {
        let workers = WORKERS.iter().zip(&self.installation.workers);
        let workers = workers.filter_map(|(name, worker)| Some((*name, worker.pid()?)));
        self.installation.api.pid().map(|pid| ("api", pid)).into_iter().chain(workers).collect()
    }

    /// A request to the API.
    pub(super) fn api(&self) -> Client {
        Client {
            address: self.installation.http_url().trim_start_matches("http://").to_owned(),
            authorization: basic(self.installation.user(), self.installation.password()),
        }
    }

    /// How the agents behave from now on.
    pub(super) fn behave(&self, behaviour: &Behaviour) -> anyhow::Result<()> {
        self.control.put("/behaviour", &serde_json::to_string(behaviour)?).map(drop)
    }

    /// All starts the agents have seen.
    pub(super) fn starts(&self) -> anyhow::Result<Vec<Start>> {
        self.ask_simulation("/starts")
    }

    /// The looks since the last time.
    pub(super) fn take_looks(&self) -> anyhow::Result<Vec<Look>> {
        self.ask_simulation("/looks")
    }

    fn ask_simulation<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let body = self.control.ask("GET", path)?;
        serde_json::from_str(&body).with_context(|| format!("{path} of the simulation"))
    }

    /// Rows of an SQL query, columns divided by `|`.
    pub(super) fn rows(&self, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let text = self.server.psql(DATABASE, sql)?;
        Ok(text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
    }

    /// Runs SQL whose answer does not matter.
    pub(super) fn execute(&self, sql: &str) -> anyhow::Result<()> {
        self.server.psql(DATABASE, sql).map(drop)
    }

    /// The one number an SQL query answers.
    pub(super) fn number(&self, sql: &str) -> anyhow::Result<f64> {
        let text = self.server.psql(DATABASE, sql)?;
        text.trim().parse().with_context(|| format!("{sql} answered {text:?}"))
    }

    /// Asks again until the number is at least so large; the time that took.
    pub(super) fn wait_for(
        &self,
        what: &str,
        sql: &str,
        least: f64,
        patience: Duration,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let number = self.number(sql)?;
            if number >= least {
                return Ok(began.elapsed());
            }
            if began.elapsed() > patience {
                bail!("{what}: {number} of {least} after {patience:?}; {}", self.trouble());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the workers said last that was no news.
    fn trouble(&self) -> String {
        let logs = self
            .installation
            .workers
            .iter()
            .map(|worker| format!("{}:\n{}", worker.name(), worker.log_tail(3)));
        format!("the workers' logs end:\n{}", logs.collect::<Vec<_>>().join("\n"))
    }

    /// Lines of `name: value` about PostgreSQL.
    pub(super) fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        let names = ["server_version", "fsync", "synchronous_commit"];
        let names = names.into_iter().chain(SETTINGS.iter().map(|(name, _)| *name));
        names
            .map(|name| Ok((name.to_owned(), self.server.psql(DATABASE, &format!("SHOW {name}"))?)))
            .collect()
    }
}

fn plan(options: &Options, server: &Server, agents: u16, control: u16) -> Plan {
    let counts = [options.count, 1, options.count, 1];
    let groups: Vec<_> = GROUPS.iter().zip(counts).map(|(queues, count)| (Some(*queues), count)).collect();
    let plan = Plan::new(server.url(DATABASE))
        .worker_groups(&groups)
        .setting("full_backup_repeat", NEVER)
        .setting("delete_backup_repeat", NEVER)
        .setting("update_instance_state_repeat", NEVER)
        .setting("reconcile_repeat", serde_json::Value::Null)
        .setting("min_backup_age", 99)
        .setting("undo_window", "0s");
    (0..BROKERS).fold(plan, |plan, broker| {
        let url = format!("http://127.0.0.1:{control}/broker/{broker}");
        plan.broker(
            BrokerPlan::http(&broker_name(broker), "postgresql", &url, CREDENTIAL.0, CREDENTIAL.1)
                .agent_url_template(&format!("https://{{deployment_name}}:{agents}"))
                .agent_server_name(SERVER_NAME)
                .agent_credential(CREDENTIAL.0, CREDENTIAL.1),
        )
    })
}

fn simulation(
    installation: &Installation,
    instances: u32,
    agents: u16,
    control: u16,
) -> anyhow::Result<Daemon> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let (agents, control, instances) = (agents.to_string(), control.to_string(), instances.to_string());
    let store = installation.store_directory().display().to_string();
    let certificate = installation.certificates().certificate.display().to_string();
    let key = installation.certificates().key.display().to_string();
    let arguments = [
        "simulate-fleet",
        "--instances",
        &instances,
        "--agents",
        &agents,
        "--control",
        &control,
        "--store",
        &store,
        "--certificate",
        &certificate,
        "--key",
        &key,
    ];
    Ok(Daemon::new("simulation", &program, &arguments, &installation.log_directory()))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
