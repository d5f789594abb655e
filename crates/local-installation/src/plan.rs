//! What an installation shall consist of.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use private_postgres::Server;
use serde_json::Value;

/// Brokers, agents and settings; turned into files by [`crate::Installation::prepare`].
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub(crate) database_url: String,
    pub(crate) agents: Vec<AgentPlan>,
    pub(crate) brokers: Vec<BrokerPlan>,
    pub(crate) settings: Vec<(String, Value)>,
    pub(crate) worker_groups: Option<Vec<(Option<String>, u32)>>,
    pub(crate) apis: Option<usize>,
    pub(crate) processes_per_group: Option<usize>,
    pub(crate) has_clocks: bool,
    pub(crate) store_directory: Option<PathBuf>,
}

impl Plan {
    /// An installation that keeps its own data in this (existing) database.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        Self { database_url: database_url.into(), ..Self::default() }
    }

    /// Starts this many API processes instead of one; all share everything but the addresses they listen on.
    #[must_use]
    pub fn apis(mut self, count: usize) -> Self {
        self.apis = Some(count);
        self
    }

    /// Starts this many processes per worker group instead of one.
    #[must_use]
    pub fn processes_per_group(mut self, count: usize) -> Self {
        self.processes_per_group = Some(count);
        self
    }

    /// Gives each process a wall clock of its own, see [`crate::Daemon::set_clock`]. Needs `libfaketime`
    /// ([`private_postgres::clock::Clock::is_available`]).
    #[must_use]
    pub fn clocks(mut self) -> Self {
        self.has_clocks = true;
        self
    }

    /// Keeps the store in this (existing) directory instead of one of the installation's own.
    #[must_use]
    pub fn store_directory(mut self, directory: &Path) -> Self {
        self.store_directory = Some(directory.to_owned());
        self
    }

    /// Adds a real agent process.
    #[must_use]
    pub fn agent(mut self, agent: AgentPlan) -> Self {
        self.agents.push(agent);
        self
    }

    /// Adds a broker.
    #[must_use]
    pub fn broker(mut self, broker: BrokerPlan) -> Self {
        self.brokers.push(broker);
        self
    }

    /// Sets a key of `backup-manager.yml`, for example `("jobs.watcher.interval", "200ms")`; later ones win.
    #[must_use]
    pub fn setting(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// Replaces the four default worker groups; a group without queues serves all.
    #[must_use]
    pub fn worker_groups(mut self, groups: &[(Option<&str>, u32)]) -> Self {
        let owned = groups.iter().map(|(queues, count)| (queues.map(str::to_owned), *count)).collect();
        self.worker_groups = Some(owned);
        self
    }
}

/// An agent beside one data service.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    pub(crate) name: String,
    pub(crate) driver: Driver,
    pub(crate) is_tls: bool,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) rehearsal_directory: Option<PathBuf>,
}

/// What the agent backs up.
#[derive(Debug, Clone)]
pub enum Driver {
    /// A PostgreSQL server on 127.0.0.1, all databases and roles.
    Postgresql {
        /// Its port.
        port: u16,
        /// The password of `postgres`, if one is demanded.
        password: Option<String>,
        /// Folder of `pg_dump` and the others, of the server's version.
        bin_directory: PathBuf,
    },
    /// A directory.
    Files {
        /// The directory.
        directory: PathBuf,
    },
}

impl AgentPlan {
    /// An agent with HTTPS beside a PostgreSQL server.
    #[must_use]
    pub fn postgresql(name: &str, server: &Server) -> Self {
        let driver = Driver::Postgresql {
            port: server.port(),
            password: server.password().map(str::to_owned),
            bin_directory: server.bin_directory().to_owned(),
        };
        Self { name: name.to_owned(), driver, is_tls: true, address: None, rehearsal_directory: None }
    }

    /// An agent with HTTPS for a directory.
    #[must_use]
    pub fn files(name: &str, directory: &Path) -> Self {
        let driver = Driver::Files { directory: directory.to_owned() };
        Self { name: name.to_owned(), driver, is_tls: true, address: None, rehearsal_directory: None }
    }

    /// Listens there instead of on a free port, so that something can be put in front of it before it is prepared
    /// ([`BrokerPlan::instance_at`] leads the manager to that).
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Has its scratch data services there, where the user `postgres` gets if the agent is root.
    #[must_use]
    pub fn rehearsals_in(mut self, directory: &Path) -> Self {
        self.rehearsal_directory = Some(directory.to_owned());
        self
    }

    /// Plain HTTP instead of HTTPS.
    #[must_use]
    pub fn without_tls(mut self) -> Self {
        self.is_tls = false;
        self
    }
}

/// A source of service instances; all its instances' agents share one credential.
#[derive(Debug, Clone)]
pub struct BrokerPlan {
    pub(crate) name: String,
    pub(crate) data_service: String,
    /// URL, user and password of a broker that speaks HTTP; none for a static inventory.
    pub(crate) http: Option<(String, String, String)>,
    pub(crate) instances: Vec<(String, AgentAddress)>,
    pub(crate) agent_credential: Option<(String, String)>,
    pub(crate) agent_url_template: Option<String>,
    pub(crate) agent_server_name: Option<String>,
    pub(crate) is_legacy: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum AgentAddress {
    /// By name, one of the plan's agents.
    Planned(String),
    /// Somewhere else, for example a fake.
    Url(String),
}

impl BrokerPlan {
    /// A broker at a URL.
    #[must_use]
    pub fn http(name: &str, data_service: &str, url: &str, user: &str, password: &str) -> Self {
        let http = Some((url.to_owned(), user.to_owned(), password.to_owned()));
        Self { http, ..Self::static_inventory(name, data_service) }
    }

    /// A static inventory; add its instances with [`BrokerPlan::instance`].
    #[must_use]
    pub fn static_inventory(name: &str, data_service: &str) -> Self {
        Self {
            name: name.to_owned(),
            data_service: data_service.to_owned(),
            http: None,
            instances: Vec::new(),
            agent_credential: None,
            agent_url_template: None,
            agent_server_name: None,
            is_legacy: false,
        }
    }

    /// An instance of the inventory whose agent is one of the plan's.
    #[must_use]
    pub fn instance(mut self, guid: &str, agent: &str) -> Self {
        self.instances.push((guid.to_owned(), AgentAddress::Planned(agent.to_owned())));
        self
    }

    /// An instance of the inventory whose agent is at this URL.
    #[must_use]
    pub fn instance_at(mut self, guid: &str, agent_url: &str) -> Self {
        self.instances.push((guid.to_owned(), AgentAddress::Url(agent_url.to_owned())));
        self
    }

    /// The credential of the instances' agents, when they are not the plan's.
    #[must_use]
    pub fn agent_credential(mut self, user: &str, password: &str) -> Self {
        self.agent_credential = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Its instances' backups are stored in the legacy form.
    #[must_use]
    pub fn legacy_form(mut self) -> Self {
        self.is_legacy = true;
        self
    }

    /// The template of the agents' addresses.
    #[must_use]
    pub fn agent_url_template(mut self, template: &str) -> Self {
        self.agent_url_template = Some(template.to_owned());
        self
    }

    /// The name in the agents' certificates, when it is not the host of their addresses.
    #[must_use]
    pub fn agent_server_name(mut self, name: &str) -> Self {
        self.agent_server_name = Some(name.to_owned());
        self
    }
}
