//! Part d: all brokers are asked for all instances, at first sight and when nothing has changed.

use std::time::Duration;

use super::figures::Figures;
use super::jobs;
use super::process::Meter;
use super::shape::BROKERS;
use super::stage::Stage;
use super::statements;

const KIND: &str = "update_instance_state";
/// The worker that asks the brokers.
const GROUP: usize = 3;

/// Starts the worker, which asks at its start; then again.
pub(super) fn measure(stage: &mut Stage, limit: Duration) -> anyhow::Result<Figures> {
    let mut figures = Figures::new('d');
    once(stage, &mut figures, "first sight", limit)?;
    let found = stage.number("SELECT count(*) FROM service_instances")?;
    anyhow::ensure!((found - f64::from(stage.shape.instances)).abs() < 0.5, "{found} instances were found");
    stage.stop_worker(GROUP)?;
    once(stage, &mut figures, "no change", limit)?;
    Ok(figures)
}

fn once(stage: &mut Stage, figures: &mut Figures, name: &str, limit: Duration) -> anyhow::Result<()> {
    stage.execute(&format!("DELETE FROM finished_jobs WHERE kind = '{KIND}'"))?;
    statements::reset(stage)?;
    let began = std::time::Instant::now();
    stage.start_worker(GROUP)?;
    let meter = Meter::start(stage)?;
    let finished =
        format!("SELECT count(*) /* bench */ FROM finished_jobs WHERE kind = '{KIND}' AND outcome = 'done'");
    stage.wait_for("brokers", &finished, f64::from(BROKERS + 1), limit)?;
    let usage = meter.stop(stage)?;
    let one = "arguments ? 'broker'";
    let jobs = jobs::finished_jobs(stage, KIND, one)?;
    figures.add(format!("{name}: all brokers"), "s", jobs.seconds);
    figures.add(format!("{name}: the slowest broker"), "s", jobs.longest);
    let all = stage.number(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT LIKE '%/* bench */%' AND toplevel",
    )?;
    figures.add(format!("{name}: statements per instance"), "", all / f64::from(stage.shape.instances));
    let first = figures.all.len();
    figures.add_usage(&usage, began.elapsed().as_secs_f64());
    figures.title_from(first, name);
    Ok(())
}
