//! An agent in this process, or as a process.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backup_agent::RunningAgent;
use serde_json::json;

use super::{Client, Site};

const BINARY: &str = env!("CARGO_BIN_EXE_backup-agent");

/// An agent in this process.
pub(crate) struct Agent {
    pub(crate) client: Client,
    running: RunningAgent,
}

impl Agent {
    pub(crate) async fn start(site: &Site) -> Self {
        let config = serde_json::from_value(site.config.clone()).unwrap();
        let running = backup_agent::serve(config).await.unwrap();
        let client = Client::new(&format!("http://{}", running.address()));
        Self { client, running }
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await.unwrap();
    }
}

impl std::ops::Deref for Agent {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// An agent as a process; killed at the end.
pub(crate) struct Process {
    pub(crate) client: Client,
    child: Child,
}

impl Process {
    pub(crate) async fn start(site: &Site) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self::start_at(site, port).await
    }

    /// At a port that somebody knows already.
    pub(crate) async fn start_at(site: &Site, port: u16) -> Self {
        Self::spawn(site, port, Command::new(BINARY)).await
    }

    /// With no more rights to files than everybody; none where root's cannot be taken away.
    pub(crate) async fn start_without_rights(site: &Site) -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if !nix::unistd::Uid::effective().is_root() {
            return Some(Self::spawn(site, port, Command::new(BINARY)).await);
        }
        let without = |program: &str| {
            let mut command = Command::new("setpriv");
            command.arg("--bounding-set=-dac_override,-dac_read_search").arg(program);
            command
        };
        let possible = without("true").stderr(Stdio::null()).status();
        match possible.is_ok_and(|status| status.success()) {
            true => Some(Self::spawn(site, port, without(BINARY)).await),
            false => None,
        }
    }

    async fn spawn(site: &Site, port: u16, mut command: Command) -> Self {
        let mut config = site.config.clone();
        config["listen"] = json!(format!("127.0.0.1:{port}"));
        let file = site.path("backup-agent.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        command.arg("serve").arg("--config").arg(&file);
        let child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let process = Self { client: Client::new(&format!("http://127.0.0.1:{port}")), child };
        let patience = Instant::now() + Duration::from_secs(30);
        while !process.client.is_up().await {
            assert!(Instant::now() < patience, "the agent does not come up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }

    /// As a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit status.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Most memory used so far, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let mut text = String::new();
        let path = format!("/proc/{}/status", self.child.id());
        std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

impl std::ops::Deref for Process {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
