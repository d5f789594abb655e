//! Writes the `backup-agent.yml` of one agent.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::files::write_private;
use crate::installation::Installation;
use crate::manager_file::STORE;
use crate::plan::{AgentPlan, Driver};
use crate::yaml;

/// Writes the file; `state` is the agent's own folder.
pub(crate) fn write(
    installation: &Installation,
    plan: &AgentPlan,
    address: SocketAddr,
    file: &Path,
    state: &Path,
) -> anyhow::Result<()> {
    let tls = match plan.is_tls {
        true => json!({
            "certificate_path": installation.certificates().certificate, "key_path": installation.certificates().key
        }),
        false => Value::Null,
    };
    let root = json!({
        "listen": address.to_string(),
        "tls": tls,
        "credential": {"user": installation.agent_user(), "password": installation.agent_password()},
        "driver": driver(&plan.driver),
        "stores": {STORE: {"kind": "local", "directory": installation.store_directory()}},
        "scratch_directory": state,
        "rehearsal_directory": plan.rehearsal_directory
    });
    write_private(file, yaml::document(&root))
}

fn driver(driver: &Driver) -> Value {
    match driver {
        Driver::Postgresql { port, password, bin_directory } => json!({"postgresql": {
            "host": "127.0.0.1", "port": port, "user": "postgres", "password": password, "bin_directory": bin_directory
        }}),
        Driver::Files { directory } => json!({"files": {"directory": directory}}),
    }
}
