//! Part a: `backup_all_job` over the whole fleet, all due at once, and everything that follows, to the end of the last backup.

use std::time::{Duration, Instant};

use super::figures::{Figures, count};
use super::growth::Growth;
use super::process::Meter;
use super::simulation::Behaviour;
use super::stage::Stage;
use super::{jobs, statements};

/// Operations take so long here on average: what is measured is the manager, not the patience.
const MEAN_SECONDS: f64 = 2.0;
/// The demand for ten thousand instances.
const DEMANDED_SECONDS: f64 = 2.0;

/// Runs the part.
pub(super) fn measure(stage: &Stage, limit: Duration) -> anyhow::Result<Figures> {
    let mut figures = Figures::new('a');
    let instances = f64::from(stage.shape.instances);
    stage.behave(&Behaviour { mean_seconds: MEAN_SECONDS, hanging_broker: None })?;
    let growth = Growth::start(stage)?;
    statements::reset(stage)?;
    let meter = Meter::start(stage)?;
    let began = Instant::now();
    stage.api().ask("POST", "/backup_agent/backup_all")?;
    let fan_out = jobs::wait_for_one(stage, "backup_all", limit)?;
    figures.add_demanded("fan-out", "s", fan_out.seconds, Some(DEMANDED_SECONDS));

    let ended = "SELECT count(*) /* bench */ FROM backups WHERE status NOT IN ('queued', 'running')";
    stage.wait_for("backups that have ended", ended, instances * 0.99, limit)?;
    let nearly_all = began.elapsed().as_secs_f64();
    figures.add("until 99 of 100 backups have ended", "s", nearly_all);
    let usage = meter.stop(stage)?;
    let done = stage.number(ended)?;
    statements::add(&mut figures, stage, done, "backup")?;
    // The very last may have met trouble several times, with growing pauses in between.
    stage.wait_for("backups that have ended", ended, (instances * 0.999).floor(), limit)?;
    figures.add(
        "until 999 of 1000 have, with the pauses before repetitions",
        "s",
        began.elapsed().as_secs_f64(),
    );

    let starts = stage.starts()?;
    let mut accepted: Vec<i64> = starts.iter().filter_map(|start| start.accepted).collect();
    accepted.sort_unstable();
    let first = accepted.first().copied().unwrap_or_default();
    let index = accepted.len().saturating_mul(99) / 100;
    if let Some(most) = accepted.get(index.min(accepted.len().saturating_sub(1))) {
        let seconds = super::figures::milliseconds(most.saturating_sub(first)) / 1000.0;
        figures.add("backups accepted by agents per second", "/s", count(index) / seconds.max(0.001));
    }
    figures.add("backups carried from request to end per second", "/s", instances * 0.99 / nearly_all);
    figures.add_usage(&usage, nearly_all);
    growth.stop(&mut figures, stage, instances)?;
    Ok(figures)
}
