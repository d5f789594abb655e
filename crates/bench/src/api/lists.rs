//! The list of all instances with everything in it: how fast it flows, and what it costs the API in memory.

use serde::Serialize;

use super::stage::Stage;
use crate::http::Drained;
use crate::memory;

/// The whole list, read by some clients at once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct List {
    pub(super) clients: u32,
    pub(super) mebibytes: f64,
    /// Until the last client had everything.
    pub(super) seconds: f64,
    /// Of all clients together.
    pub(super) mebibytes_per_second: f64,
    pub(super) resident_before_mib: f64,
    pub(super) peak_resident_mib: f64,
}

/// Once with one client, then once with four.
pub(super) fn measure(stage: &Stage, rounds: u32) -> anyhow::Result<Vec<List>> {
    let mut all = Vec::new();
    for _ in 0..rounds {
        for clients in [1, 4] {
            all.push(read(stage, clients)?);
        }
    }
    Ok(all)
}

fn read(stage: &Stage, clients: u32) -> anyhow::Result<List> {
    let pid = stage.pid()?;
    let resident_before_mib = memory::now_mib(pid)?;
    memory::reset_peak(pid)?;
    let drained: Vec<anyhow::Result<Drained>> = std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| stage.client().drain("/instances"))).collect();
        let join = |reader: std::thread::ScopedJoinHandle<'_, anyhow::Result<Drained>>| {
            reader.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a reader panicked")))
        };
        readers.into_iter().map(join).collect()
    });
    let drained = drained.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let seconds = drained.iter().map(|one| one.time.as_secs_f64()).fold(0.0, f64::max);
    let kibibytes = drained.iter().map(|one| one.bytes).sum::<u64>().div_ceil(1024);
    let mebibytes = f64::from(u32::try_from(kibibytes)?) / 1024.0;
    Ok(List {
        clients,
        mebibytes: mebibytes / f64::from(clients),
        seconds,
        mebibytes_per_second: mebibytes / seconds,
        resident_before_mib,
        peak_resident_mib: memory::peak_mib(pid)?,
    })
}
