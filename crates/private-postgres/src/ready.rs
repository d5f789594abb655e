//! Waiting for the server to come up.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::process::ChildProcess;

/// Waits until `postmaster.pid` of this very process says `ready`.
pub(crate) fn wait_until_ready(process: &mut ChildProcess, data: &Path, log: &Path) -> anyhow::Result<()> {
    let patience = Instant::now() + Duration::from_secs(60);
    let own_id = process.id().to_string();
    loop {
        if let Some(status) = process.ended()? {
            bail!("postgres ended with {status} before it was ready:\n{}", tail(log));
        }
        if let Ok(text) = std::fs::read_to_string(data.join("postmaster.pid")) {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            if lines.first() == Some(&own_id.as_str()) && lines.get(7) == Some(&"ready") {
                return Ok(());
            }
        }
        if Instant::now() > patience {
            bail!("postgres was not ready after 60 seconds:\n{}", tail(log));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The last lines of the server's log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(15)).copied().collect::<Vec<_>>().join("\n")
}
