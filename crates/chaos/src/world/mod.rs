//! Everything that is broken: the manager's pair of databases, two APIs, eight worker processes, twenty agents, two of them
//! beside real PostgreSQL servers, and a proxy in front of each agent and each API. Nothing here breaks anything.

mod shape;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use local_installation::{AgentPlan, BrokerPlan, Installation};
use private_postgres::pair::Pair;
use private_postgres::process::free_port;
use private_postgres::{Binaries, Options, OwnedDirectory, Server};

pub use shape::Shape;

use crate::dice::Dice;
use crate::disk::SmallDisk;
use crate::load::{Client, Data};
use crate::proxy::FaultProxy;
use crate::session::Session;

/// The manager's database.
pub const DATABASE: &str = "manager";

/// A running installation with all that belongs to it; gone when dropped.
#[derive(Debug)]
pub struct World {
    /// The daemons.
    pub installation: Installation,
    /// A proxy per agent.
    pub roads: Vec<FaultProxy>,
    /// A proxy per API.
    pub gates: Vec<FaultProxy>,
    /// GUIDs of the instances; the positions are those of their agents.
    pub guids: Vec<String>,
    /// Data of the instances.
    pub data: Vec<Data>,
    /// The manager's database.
    pub pair: Pair,
    /// Its address, whichever of the two servers is the primary.
    pub database_url: String,
    /// What the store is on, where we may mount something.
    pub disk: Option<SmallDisk>,
    // Removed when everybody who works in it has gone.
    _directory: OwnedDirectory,
}

impl World {
    /// Starts everything and waits until it is healthy and knows all instances.
    ///
    /// # Errors
    /// When something does not come up; the error says what.
    pub fn start(shape: &Shape, seed: u64) -> anyhow::Result<Self> {
        let directory = OwnedDirectory::create(&std::env::temp_dir(), "backup-chaos.")?;
        let options = if shape.has_clocks { Options::default().clock() } else { Options::default() };
        let pair = Pair::start(options).context("the manager's databases do not start")?;
        pair.create_database(DATABASE)?;
        let database_url = pair.url(DATABASE);
        let data = make_data(shape, directory.path(), seed)?;
        let disk = SmallDisk::mount(shape.disk_bytes)?;
        let mut plan = shape.plan(&database_url);
        if let Some(disk) = &disk {
            plan = plan.store_directory(disk.path());
        }
        let (mut files, mut postgres) = (
            BrokerPlan::static_inventory("files", "files"),
            BrokerPlan::static_inventory("postgres", "postgresql"),
        );
        let (mut roads, mut guids) = (Vec::new(), Vec::new());
        for (number, data) in (1..).zip(&data) {
            let (name, guid) = (format!("agent-{number:02}"), format!("instance-{number:02}"));
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
            let road = FaultProxy::start(address)?;
            let agent = match data {
                Data::Files { directory, .. } => {
                    files = files.instance_at(&guid, &road.url());
                    AgentPlan::files(&name, directory)
                }
                Data::Postgres { server, .. } => {
                    postgres = postgres.instance_at(&guid, &road.url());
                    AgentPlan::postgresql(&name, server)
                }
            };
            plan = plan.agent(agent.without_tls().at(address));
            roads.push(road);
            guids.push(guid);
        }
        let mut installation = Installation::prepare(&plan.broker(files).broker(postgres))?;
        installation.start().context("the installation does not start")?;
        let mut gates = Vec::new();
        for url in installation.http_urls() {
            gates.push(FaultProxy::start(url.trim_start_matches("http://").parse()?)?);
        }
        let world =
            Self { installation, roads, gates, guids, data, pair, database_url, disk, _directory: directory };
        world.wait_for_instances()?;
        Ok(world)
    }

    /// A client of the APIs, through their proxies.
    ///
    /// # Errors
    /// When the HTTP library cannot be set up.
    pub fn client(&self) -> anyhow::Result<Client> {
        let urls = self.gates.iter().map(FaultProxy::url).collect();
        Client::new(urls, self.installation.user(), self.installation.password())
    }

    /// A client of the manager's database.
    ///
    /// # Errors
    /// When there is no `psql`.
    pub fn session(&self) -> anyhow::Result<Session> {
        Ok(Session::new(Binaries::find_or_install()?.program("psql"), self.database_url.clone()))
    }

    /// The journal of an agent.
    #[must_use]
    pub fn journal(&self, position: usize) -> PathBuf {
        let name = self.installation.agents().get(position).map_or("", |agent| agent.name());
        self.installation.directory().join(name).join("operations")
    }

    fn wait_for_instances(&self) -> anyhow::Result<()> {
        let mut session = self.session()?;
        for _ in 0..300 {
            let known = session.ask("SELECT count(*) FROM service_instances")?;
            if known.first().is_some_and(|count| *count == self.guids.len().to_string()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("the instances are not known after half a minute");
    }
}

/// Two PostgreSQL servers and many directories, filled.
fn make_data(shape: &Shape, directory: &Path, seed: u64) -> anyhow::Result<Vec<Data>> {
    let mut data = Vec::new();
    for position in 0..shape.agents {
        let one = if position < shape.postgres_agents {
            Data::Postgres {
                server: Arc::new(Server::start().context("a data service does not start")?),
                rows: 4_000,
            }
        } else {
            let path = directory.join(format!("data-{position:02}")).join("data");
            std::fs::create_dir_all(&path)?;
            Data::Files { directory: path, bytes: shape.bytes(position) }
        };
        one.rewrite(&mut Dice::of(seed, u64::try_from(position)?))
            .context("a data service cannot be filled")?;
        data.push(one);
    }
    Ok(data)
}
