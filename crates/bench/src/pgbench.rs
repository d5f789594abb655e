//! Runs `pgbench` with a script of our own: what the same statements cost without the product around them.

use std::path::Path;

use anyhow::{Context, bail};
use private_postgres::Server;

use crate::samples::Sample;

/// A script for pgbench and the variables it expects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// The script.
    pub(crate) text: String,
    /// Values that do not change from one transaction to the next.
    pub(crate) constants: Vec<(String, String)>,
}

/// How long pgbench goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    /// By the clock.
    Seconds(u32),
    /// So many transactions of each client.
    Transactions(u32),
}

/// Runs the script with prepared statements.
///
/// # Errors
/// When pgbench is missing or a transaction failed.
pub(crate) fn run(
    server: &Server,
    database: &str,
    script: &Script,
    clients: u32,
    extent: Extent,
) -> anyhow::Result<Sample> {
    let file = tempfile::Builder::new().suffix(".sql").tempfile()?;
    std::fs::write(file.path(), &script.text)?;
    let mut command = server.client(program(server)?, database);
    command.args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"]);
    command.args(["--client", &clients.to_string()]);
    match extent {
        Extent::Seconds(seconds) => command.args(["--time", &seconds.to_string()]),
        Extent::Transactions(count) => command.args(["--transactions", &count.to_string()]),
    };
    for (name, value) in &script.constants {
        command.arg("--define").arg(format!("{name}={value}"));
    }
    let output = command.arg("--file").arg(file.path()).output().context("pgbench cannot be started")?;
    let (text, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("pgbench failed: {complaint}\nwith the script:\n{}", script.text);
    }
    parse(&text)
}

/// Debian keeps it beside the server's programs.
fn program(server: &Server) -> anyhow::Result<&'static str> {
    if !server.bin_directory().join("pgbench").exists() {
        bail!(
            "there is no pgbench in {}; install the package postgresql",
            Path::display(server.bin_directory())
        );
    }
    Ok("pgbench")
}

fn parse(text: &str) -> anyhow::Result<Sample> {
    let number = |begin: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(begin))?;
        line.split_whitespace().next()?.parse().ok()
    };
    if number("number of failed transactions:").is_some_and(|failed| failed > 0.0) {
        bail!("some transactions failed:\n{text}");
    }
    let read = || Some((number("tps =")?, number("latency average =")?));
    let (per_second, p50_ms) = read().with_context(|| format!("pgbench said: {text}"))?;
    Ok(Sample { per_second, p50_ms, p99_ms: 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_without_the_time_to_connect_is_read() {
        let text = "number of failed transactions: 0 (0.000%)\nlatency average = 0.520 ms\n\
                    initial connection time = 3.4 ms\ntps = 1923.5 (without initial connection time)\n";
        let sample = parse(text).unwrap();
        assert!((sample.per_second - 1923.5).abs() < 1e-9);
        assert!((sample.p50_ms - 0.52).abs() < 1e-9);
        assert!(parse(&text.replace("transactions: 0", "transactions: 2")).is_err());
        assert!(parse("pgbench: error\n").is_err());
    }
}
