//! What processes have used: Linux tells in `/proc`.

use anyhow::Context;
use nix::unistd::{SysconfVar, sysconf};

use super::stage::Stage;
use crate::memory;

/// What the processes of a stage had used at one moment.
#[derive(Debug)]
pub(super) struct Meter {
    cpu: Vec<(&'static str, u32, f64)>,
    database: f64,
}

/// What one process used in a while.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub(super) name: &'static str,
    pub(super) cpu_seconds: f64,
    /// The most resident memory in that while; none for PostgreSQL, whose processes share theirs.
    pub(super) peak_mib: Option<f64>,
}

impl Meter {
    /// Begins to measure.
    pub(super) fn start(stage: &Stage) -> anyhow::Result<Self> {
        let cpu = stage.processes().into_iter().map(|(name, pid)| {
            memory::reset_peak(pid)?;
            Ok((name, pid, cpu_seconds(pid)?.0))
        });
        Ok(Self { cpu: cpu.collect::<anyhow::Result<_>>()?, database: database_seconds(stage)? })
    }

    /// What was used since then.
    pub(super) fn stop(self, stage: &Stage) -> anyhow::Result<Vec<Usage>> {
        let mut used = Vec::new();
        for (name, pid, before) in self.cpu {
            let cpu_seconds = cpu_seconds(pid)?.0 - before;
            used.push(Usage { name, cpu_seconds, peak_mib: Some(memory::peak_mib(pid)?) });
        }
        let cpu_seconds = database_seconds(stage)? - self.database;
        used.push(Usage { name: "PostgreSQL", cpu_seconds, peak_mib: None });
        Ok(used)
    }
}

/// All processes of the server, those that have ended included.
fn database_seconds(stage: &Stage) -> anyhow::Result<f64> {
    let postmaster = stage.server.pid().context("PostgreSQL does not run")?;
    let (own, ended) = cpu_seconds(postmaster)?;
    let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))?;
    // One that has ended in between is counted with the ended next time.
    let living: f64 =
        children.split_whitespace().filter_map(|pid| Some(cpu_seconds(pid.parse().ok()?).ok()?.0)).sum();
    Ok(own + ended + living)
}

/// User and system time of a process, and of its children that have ended.
fn cpu_seconds(pid: u32) -> anyhow::Result<(f64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).context("/proc/PID/stat is not as expected")?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the system does not tell its ticks")?;
    let per_second = f64::from(i32::try_from(per_second)?);
    Ok((ticks.0 / per_second, ticks.1 / per_second))
}

/// The name of the program, which comes first, may contain anything, so counting begins behind it.
fn ticks(stat: &str) -> Option<(f64, f64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<f64> =
        fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let [user, system, user_of_children, system_of_children] = fields.as_slice() else { return None };
    Some((user + system, user_of_children + system_of_children))
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn ticks_are_found_behind_a_strange_name() {
        let stat = "77 (a) b) (c) S 1 77 77 0 -1 4194304 1 2 3 4 10 20 300 400 20 0 5";
        assert_eq!(ticks(stat), Some((30.0, 700.0)));
        assert_eq!(ticks("77"), None);
    }
}
