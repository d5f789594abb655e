//! A backup agent of the installation as a process.

use std::net::SocketAddr;

use crate::daemon::Daemon;
use crate::installation::PATIENCE;
use crate::probe;

/// A real agent of the installation.
#[derive(Debug)]
pub struct AgentProcess {
    /// The process.
    pub daemon: Daemon,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
}

impl AgentProcess {
    /// The name in the plan.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
