//! Time, processor time and memory of a piece of work.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// What a piece of work costs.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Wall clock.
    pub(crate) seconds: f64,
    /// User and system time of all processes but the database server.
    pub(crate) cpu_seconds: f64,
    /// The largest process at its peak.
    pub(crate) peak_mib: f64,
}

/// Runs a command and prints what it cost: the kernel adds up the resources of ended children per parent, so a parent of its
/// own is needed for each measurement.
#[derive(Debug, Clone, Args)]
pub(crate) struct MeasureOptions {
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// The hidden subcommand.
///
/// # Errors
/// When the command fails.
pub(crate) fn run(options: &MeasureOptions) -> anyhow::Result<()> {
    let (program, arguments) = options.command.split_first().context("no command")?;
    let began = Instant::now();
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let milliseconds =
        used.user_time().num_milliseconds().saturating_add(used.system_time().num_milliseconds());
    let kib = u32::try_from(used.max_rss()).context("a strange peak of memory")?;
    let cost = Cost {
        seconds,
        cpu_seconds: f64::from(i32::try_from(milliseconds)?) / 1000.0,
        peak_mib: f64::from(kib) / 1024.0,
    };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

/// What a shell script costs; `set -o pipefail` holds. Secrets are in files or the environment.
///
/// # Errors
/// When it fails.
pub(crate) fn script(text: &str, folder: &Path, environment: &[(&str, String)]) -> anyhow::Result<Cost> {
    let this = std::env::current_exe()?;
    let mut command = Command::new(this);
    command.args(["measure", "--", "bash", "-c", &format!("set -euo pipefail; {text}")]);
    command.current_dir(folder).envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("this failed: {text}");
    }
    serde_json::from_slice(&output.stdout).context("a measurement is unreadable")
}

/// Processor time of a process and of its ended children so far, in seconds.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    // utime, stime, cutime and cstime are the fields 14 to 17; the first after the name is the third.
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(4).filter_map(|t| t.parse::<f64>().ok()).sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("no clock ticks")?;
    Ok(ticks / f64::from(i32::try_from(per_second)?))
}
