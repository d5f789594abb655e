//! Where the files, addresses, secrets and processes of an installation are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::agent_process::AgentProcess;
use crate::certificates::Certificates;
use crate::daemon::Daemon;
use crate::installation::Installation;
use crate::manager_file::loopback;

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
        self.manager_file_of_api(1)
    }

    /// The same with the addresses of another API, counted from 1.
    pub(crate) fn manager_file_of_api(&self, number: usize) -> PathBuf {
        let name =
            if number == 1 { "backup-manager.yml".into() } else { format!("backup-manager-{number}.yml") };
        self.directory().join(name)
    }

    /// The inventory of a static broker; edit it to add or delete instances.
    #[must_use]
    pub fn inventory_file(&self, broker: &str) -> PathBuf {
        self.directory().join(format!("inventory-{broker}.yml"))
    }

    /// The directory of the store that manager and agents share.
    #[must_use]
    pub fn store_directory(&self) -> PathBuf {
        self.store_directory.clone()
    }

    /// `http://127.0.0.1:PORT` of the (first) API.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.first_addresses().0)
    }

    /// `https://127.0.0.1:PORT` of the (first) API; its certificate is signed by [`Certificates::authority`].
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://{}", self.first_addresses().1)
    }

    /// `http://127.0.0.1:PORT` of every API, in the order of [`Installation::apis_mut`].
    #[must_use]
    pub fn http_urls(&self) -> Vec<String> {
        self.addresses.iter().map(|(http, _)| format!("http://{http}")).collect()
    }

    /// HTTP and HTTPS of every API.
    pub(crate) fn addresses(&self) -> &[(SocketAddr, SocketAddr)] {
        &self.addresses
    }

    pub(crate) fn first_addresses(&self) -> (SocketAddr, SocketAddr) {
        self.addresses.first().copied().unwrap_or((loopback(0), loopback(0)))
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

    /// Every API process, the first one first.
    pub fn apis_mut(&mut self) -> impl Iterator<Item = &mut Daemon> {
        [&mut self.api].into_iter().chain(&mut self.more_apis)
    }

    /// Every process.
    pub fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        let apis = [&self.api].into_iter().chain(&self.more_apis);
        apis.chain(&self.workers).chain(self.agents.iter().map(|agent| &agent.daemon))
    }

    /// Every process, to be killed, paused and started.
    pub fn daemons_mut(&mut self) -> impl Iterator<Item = &mut Daemon> {
        let apis = [&mut self.api].into_iter().chain(&mut self.more_apis);
        apis.chain(&mut self.workers).chain(self.agents.iter_mut().map(|agent| &mut agent.daemon))
    }
}
