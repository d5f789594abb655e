//! What workers without work cost: their processor time, that of the database for them, and the statements they send.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::lane::Lane;
use super::process::Adapter;
use super::stage::Stage;

/// How long the workers are left alone before the measurement.
const SETTLE: Duration = Duration::from_secs(5);

/// What one worker cost in a minute.
pub(super) struct Cost {
    /// Processor seconds of its process.
    pub(super) worker: f64,
    /// Processor seconds of the server's processes for its connections.
    pub(super) server: f64,
    /// Statements it sent.
    pub(super) statements: f64,
}

/// Lets all workers run side by side without work for so long, and returns what each cost in a minute. They share
/// the time but nothing that is counted: processor time is the process's own, statements are the database's.
///
/// # Errors
/// When a worker ends.
pub(super) fn measure(stage: &Stage, lanes: &[Lane<'_>], duration: Duration) -> anyhow::Result<Vec<Cost>> {
    let mut workers = Vec::new();
    for lane in lanes {
        stage.count_statements(lane.database(), true)?;
        let mut worker = lane.adapter(&["work", "0"])?;
        worker.tell("go")?;
        workers.push(worker);
    }
    std::thread::sleep(SETTLE);
    stage.sql("postgres", "select pg_stat_statements_reset()")?;
    let before = readings(stage, lanes, &workers)?;
    let began = Instant::now();
    std::thread::sleep(duration);
    let after = readings(stage, lanes, &workers)?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    for (lane, worker) in lanes.iter().zip(workers) {
        worker.end()?;
        stage.count_statements(lane.database(), false)?;
    }
    let per_minute = |before: f64, after: f64| (after - before).max(0.0) / minutes;
    Ok(before
        .iter()
        .zip(&after)
        .map(|(before, after)| Cost {
            worker: per_minute(before.worker, after.worker),
            server: per_minute(before.server, after.server),
            statements: per_minute(before.statements, after.statements),
        })
        .collect())
}

fn readings(stage: &Stage, lanes: &[Lane<'_>], workers: &[Adapter]) -> anyhow::Result<Vec<Cost>> {
    lanes.iter().zip(workers).map(|(lane, worker)| reading(stage, lane, worker)).collect()
}

/// The counters so far. A connection that was closed between two readings takes its processor time along.
fn reading(stage: &Stage, lane: &Lane<'_>, worker: &Adapter) -> anyhow::Result<Cost> {
    let database = lane.database();
    let sessions =
        stage.sql("postgres", &format!("select pid from pg_stat_activity where datname = '{database}'"))?;
    let server = sessions.lines().filter_map(|pid| processor_seconds(pid.parse().ok()?).ok()).sum();
    let statements = stage.sql(
        "postgres",
        &format!(
            "select coalesce(sum(calls), 0) from pg_stat_statements join pg_database on oid = dbid \
             where datname = '{database}'"
        ),
    )?;
    Ok(Cost { worker: processor_seconds(worker.pid())?, server, statements: statements.parse()? })
}

/// What the threads of a process have run so far.
fn processor_seconds(pid: u32) -> anyhow::Result<f64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")?;
    let nanoseconds: u64 = threads
        .flatten()
        // A thread may end while we look.
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::processor_seconds;

    #[test]
    fn work_costs_processor_time() {
        let before = processor_seconds(std::process::id()).unwrap();
        black_box((0..5_000_000_u64).fold(0, |sum, number| black_box(sum ^ number)));
        assert!(processor_seconds(std::process::id()).unwrap() > before);
    }
}
