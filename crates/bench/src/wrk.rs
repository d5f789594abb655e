//! Runs `wrk`, the load generator: a closed loop, so that a slow answer delays the next request of its connection.

use std::fmt::Write;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::samples::Sample;

/// What `done` in the script prints, so that nothing has to be read from text made for people.
const MARK: &str = "RESULT ";

/// A request with random parts: Lua that evaluates to a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    /// `GET` or `POST`.
    pub(crate) method: &'a str,
    /// Lua statements that end in `return <path>`; `guid(i)` and `math.random` are there.
    pub(crate) path: &'a str,
    /// Connections that are open at once.
    pub(crate) connections: u32,
    /// How long to go on.
    pub(crate) seconds: u32,
}

#[derive(Deserialize)]
struct Outcome {
    requests: f64,
    microseconds: f64,
    p50: f64,
    p99: f64,
    errors: u64,
}

/// Runs the load against a base URL; `header` is the value of `Authorization`, `prelude` further Lua.
///
/// # Errors
/// When `wrk` is missing, or any answer was not a success: then the figures would be those of something else.
pub(crate) fn run(url: &str, header: &str, prelude: &str, load: &Load<'_>) -> anyhow::Result<Sample> {
    let file = tempfile::Builder::new().suffix(".lua").tempfile()?;
    std::fs::write(file.path(), script(header, prelude, load)?)?;
    let output = Command::new("wrk")
        .args(["--threads", "2", "--timeout", "60s", "--connections", &load.connections.to_string()])
        .args(["--duration", &format!("{}s", load.seconds), "--script"])
        .arg(file.path())
        .arg(url)
        .output()
        .context("wrk cannot be started; install the package wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Sample> {
    let result = text.lines().find_map(|line| line.strip_prefix(MARK));
    let outcome: Outcome = serde_json::from_str(result.with_context(|| format!("wrk said: {text}"))?)?;
    if outcome.errors > 0 || outcome.requests < 1.0 {
        bail!("{} of {} answers were no success:\n{text}", outcome.errors, outcome.requests);
    }
    Ok(Sample {
        per_second: outcome.requests * 1e6 / outcome.microseconds,
        p50_ms: outcome.p50 / 1e3,
        p99_ms: outcome.p99 / 1e3,
    })
}

fn script(header: &str, prelude: &str, load: &Load<'_>) -> anyhow::Result<String> {
    let mut lua = format!("{prelude}\n");
    writeln!(lua, "local threads = 0")?;
    writeln!(lua, "function setup(thread) threads = threads + 1; thread:set('number', threads) end")?;
    writeln!(lua, "function init() math.randomseed(os.time() + 7919 * number) end")?;
    writeln!(lua, "local headers = {{ ['Authorization'] = '{header}' }}")?;
    if load.method == "POST" {
        writeln!(lua, "headers['Content-Length'] = '0'")?;
    }
    writeln!(lua, "local function path() {} end", load.path)?;
    writeln!(lua, "function request() return wrk.format('{}', path(), headers) end", load.method)?;
    writeln!(
        lua,
        "function done(summary, latency)\n\
           local e = summary.errors\n\
           io.write(string.format('{MARK}{{\"requests\": %d, \"microseconds\": %d, \"p50\": %f, \"p99\": %f, \"errors\": %d}}\\n',\n\
             summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),\n\
             e.connect + e.read + e.write + e.status + e.timeout))\n\
         end"
    )?;
    Ok(lua)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read_and_one_with_errors_is_refused() {
        let text = "Running 1s test\nRESULT {\"requests\": 1000, \"microseconds\": 2000000, \"p50\": 1500.0, \"p99\": 9000.0, \"errors\": 0}\n";
        let sample = parse(text).unwrap();
        assert!((sample.per_second - 500.0).abs() < 1e-9);
        assert!((sample.p50_ms - 1.5).abs() < 1e-9);
        assert!((sample.p99_ms - 9.0).abs() < 1e-9);
        assert!(parse(&text.replace("\"errors\": 0", "\"errors\": 3")).is_err());
        assert!(parse("Running 1s test\n").is_err());
    }
}
