//! The agent as a process, and a backup or restore through its protocol.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use local_installation::{Daemon, Programs};
use serde_json::{Value, json};

use super::measure::{Cost, cpu_seconds};
use crate::http::Client;
use crate::memory;

const PASSWORD: &str = "bench";

/// A running agent with a local store of its own below its folder.
pub(super) struct Agent {
    daemon: Daemon,
    client: Client,
}

impl Agent {
    /// Starts the release build beside this program.
    ///
    /// # Errors
    /// With the last lines of its log.
    pub(super) fn start(folder: &Path, driver: &Value) -> anyhow::Result<Self> {
        for name in ["store", "scratch"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config = json!({
            "listen": address.to_string(),
            "credential": {"user": "bench", "password": PASSWORD},
            "driver": driver,
            "stores": {"main": {"kind": "local", "directory": folder.join("store")}},
            "scratch_directory": folder.join("scratch"),
        });
        let file = folder.join("backup-agent.yml");
        std::fs::write(&file, config.to_string())?;
        let program = Programs::beside_this_one()?.find("backup-agent")?;
        let file = file.to_str().context("a path that is not UTF-8")?;
        let mut daemon = Daemon::new("backup-agent", &program, &["serve", "--config", file], folder);
        daemon.start()?;
        daemon.wait_until("listening", Duration::from_secs(30), |_| {
            std::net::TcpStream::connect(address).is_ok()
        })?;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("bench:{PASSWORD}"));
        let client = Client { address: address.to_string(), authorization: format!("Basic {basic}") };
        Ok(Self { daemon, client })
    }

    /// Makes a backup; returns its cost and how it ended.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn back_up(&self, id: &str) -> anyhow::Result<(Cost, Value)> {
        let body = json!({
            "epoch": 1, "store": "main", "object_prefix": "bench/guid",
            "instance": {"guid": "guid", "data_service": "bench"},
            "encryption": {"scheme": "age", "key": "a key for a benchmark", "key_id": "bench"},
            "compression": {"scheme": "zstd", "level": 3},
            "deadline": "2100-01-01T00:00:00Z", "part_size_limit": 5_368_709_120_u64,
        });
        self.perform(&format!("/v1/backups/{id}"), &body)
    }

    /// Plain bytes of a finished backup.
    pub(super) fn plain_bytes(backup: &Value) -> u64 {
        backup.get("bytes_read").and_then(Value::as_u64).unwrap_or_default()
    }

    /// Restores a backup; returns its cost.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn restore(&self, id: &str, backup: &Value) -> anyhow::Result<Cost> {
        let body = json!({
            "epoch": 1, "backup_id": backup.get("id"), "store": "main", "object_prefix": "bench/guid",
            "checksum": backup.get("checksum"),
            "encryption": {"scheme": "age", "key": "a key for a benchmark", "key_id": "bench"},
            "deadline": "2100-01-01T00:00:00Z",
        });
        Ok(self.perform(&format!("/v1/restores/{id}"), &body)?.0)
    }

    fn perform(&self, path: &str, body: &Value) -> anyhow::Result<(Cost, Value)> {
        let pid = self.daemon.pid().context("the agent has ended")?;
        memory::reset_peak(pid)?;
        let before = cpu_seconds(pid)?;
        let began = Instant::now();
        self.client.put(path, &body.to_string())?;
        loop {
            let status: Value = serde_json::from_str(&self.client.ask("GET", path)?)?;
            match status.get("state").and_then(Value::as_str) {
                Some("running") => std::thread::sleep(Duration::from_millis(20)),
                Some("done") => {
                    let cost = Cost {
                        seconds: began.elapsed().as_secs_f64(),
                        cpu_seconds: cpu_seconds(pid)? - before,
                        peak_mib: memory::peak_mib(pid)?,
                    };
                    return Ok((cost, status));
                }
                _ => bail!("{path} ended with {status}"),
            }
        }
    }
}
