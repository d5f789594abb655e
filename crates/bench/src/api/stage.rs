//! The stage: a durable PostgreSQL server and the real API in front of it.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_installation::{BrokerPlan, Installation, Plan};
use private_postgres::{Options as ServerOptions, Server};

use super::Options;
use super::requests::{Fleet, Request};
use crate::http::Client;
use crate::postgres::SETTINGS;
use crate::samples::Sample;
use crate::wrk;

/// The manager's database.
pub(super) const DATABASE: &str = "backup_manager";

/// Everything that runs; stopped and removed when dropped.
pub(super) struct Stage {
    // First: stopped before its database.
    installation: Installation,
    pub(super) server: Server,
}

impl Stage {
    /// Starts the server, then the API, which makes the schema.
    pub(super) fn start(pool_size: Option<u32>) -> anyhow::Result<Self> {
        let options = SETTINGS
            .iter()
            .fold(ServerOptions::default().durable(), |options, (name, value)| options.setting(name, value));
        let server = Server::start_with(options.setting("max_connections", "1100"))?;
        server.create_database(DATABASE)?;
        let plan = Plan::new(server.url(DATABASE))
            .broker(BrokerPlan::static_inventory("bench", "postgresql"))
            .worker_groups(&[]);
        let plan = pool_size.into_iter().fold(plan, |plan, size| plan.setting("database.pool_size", size));
        let mut installation = Installation::prepare(&plan)?;
        installation.start_api()?;
        Ok(Self { installation, server })
    }

    pub(super) fn client(&self) -> Client {
        Client { address: self.address(), authorization: self.authorization() }
    }

    /// The API's process.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.installation.api.pid().context("the API does not run")
    }

    /// Loads the API with one kind of request.
    pub(super) fn load(&self, fleet: &Fleet, request: &Request, options: &Options) -> anyhow::Result<Sample> {
        self.load_at(&self.installation.http_url(), fleet, request, options).with_context(|| {
            format!("{}; the API's log ends:\n{}", request.title, self.installation.api.log_tail(3))
        })
    }

    /// Loads somebody else with the same requests.
    pub(super) fn load_at(
        &self,
        url: &str,
        fleet: &Fleet,
        request: &Request,
        options: &Options,
    ) -> anyhow::Result<Sample> {
        let load = wrk::Load {
            method: request.method,
            path: &request.lua(),
            connections: options.connections.min(request.most_connections),
            seconds: options.seconds,
        };
        wrk::run(url, &self.authorization(), &fleet.prelude(), &load)
    }

    /// Lines of `name: value` about PostgreSQL.
    pub(super) fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        let version = self.server.psql(DATABASE, "SHOW server_version")?;
        let mut all = vec![("postgresql".to_owned(), version)];
        let names = ["fsync", "synchronous_commit", "full_page_writes"];
        for name in names.into_iter().chain(SETTINGS.iter().map(|(name, _)| *name)) {
            all.push((name.to_owned(), self.server.psql(DATABASE, &format!("SHOW {name}"))?));
        }
        Ok(all)
    }

    fn address(&self) -> String {
        self.installation.http_url().trim_start_matches("http://").to_owned()
    }

    fn authorization(&self) -> String {
        let pair = format!("{}:{}", self.installation.user(), self.installation.password());
        format!("Basic {}", STANDARD.encode(pair))
    }
}
