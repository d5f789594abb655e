//! Part c: a night's retention over a hundred backups of every instance: one of each has expired since the night before.

use std::time::{Duration, Instant};

use super::figures::Figures;
use super::jobs;
use super::process::Meter;
use super::stage::Stage;
use super::statements;

/// The worker that deletes.
const GROUP: usize = 2;

/// Seeds the history and fires the two schedules.
pub(super) fn measure(stage: &mut Stage, limit: Duration) -> anyhow::Result<Figures> {
    let mut figures = Figures::new('c');
    stage.stop_worker(0)?;
    stage.execute(include_str!("seed_history.sql"))?;
    figures.add("backups in the history", "", stage.number("SELECT count(*) FROM backups")?);
    stage.start_worker(GROUP)?;
    step(stage, &mut figures, "mark", "delete_backup_mark", limit)?;
    step(stage, &mut figures, "remove", "delete_backup_remove", limit)?;
    Ok(figures)
}

fn step(
    stage: &Stage,
    figures: &mut Figures,
    name: &str,
    schedule: &str,
    limit: Duration,
) -> anyhow::Result<()> {
    stage.execute(
        "DELETE FROM finished_jobs WHERE kind IN ('initialize_backup_deletion', 'delete_backups')",
    )?;
    let count = "SELECT count(*) /* bench */ FROM backups WHERE status = 'deleted'";
    let (before, all_before) = (stage.number(count)?, stage.number("SELECT count(*) FROM backups")?);
    statements::reset(stage)?;
    let meter = Meter::start(stage)?;
    let began = Instant::now();
    stage.execute(&format!(
        "UPDATE schedules SET next_run_at = now() WHERE name = '{schedule}' /* bench */"
    ))?;
    let planned = jobs::wait_for_one(stage, "initialize_backup_deletion", limit)?;
    figures.add(format!("{name}: finding the instances"), "s", planned.seconds);
    let left = "SELECT (count(*) = 0)::int /* bench */ FROM jobs WHERE kind = 'delete_backups'";
    stage.wait_for("deletions", left, 1.0, limit)?;
    let seconds = began.elapsed().as_secs_f64();
    let usage = meter.stop(stage)?;
    let (marked, all) = (stage.number(count)? - before, stage.number("SELECT count(*) FROM backups")?);
    let touched = marked.max(all_before - all);
    figures.add(format!("{name}: backups"), "", touched);
    figures.add(format!("{name}: from the schedule to the last backup"), "s", seconds);
    figures.add(format!("{name}: backups per second"), "/s", touched / seconds);
    let first = figures.all.len();
    statements::add(figures, stage, touched.max(1.0), "backup")?;
    figures.add_usage(&usage, seconds);
    figures.title_from(first, name);
    Ok(())
}
