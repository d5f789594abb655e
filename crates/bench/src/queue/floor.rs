//! The floor: what the bare statements cost, sent by pgbench from two clients. Once the very statements of our queue, and once
//! the least a queue with a lease can do: a table of four columns, claimed by an update, finished by a delete.

use backup_queue::{claim, settle};

use super::lane::Lane;
use super::stage::Stage;
use crate::pgbench::{self, Extent, Script};

/// Clients of pgbench: as many claims under way as a worker process has at most.
const CLIENTS: u32 = 2;
/// Jobs per claim and per finish.
pub(super) const BATCHES: [u32; 3] = [1, 10, 100];
/// Most transactions of one measurement, all clients together.
const MOST: u32 = 5_000;
const DATABASE: &str = "floor";

/// What the floors are called in the figures, before the size of the batch.
pub(super) const OURS: &str = "our statements";
pub(super) const LEAST: &str = "least table";

/// The least table.
const LEAST_TABLE: &str = "
    create table job (
        id         bigint generated always as identity primary key,
        arguments  jsonb not null default '{}',
        run_at     timestamptz not null default now(),
        claimed_at timestamptz
    );
    create index job_waiting on job (run_at, id) where claimed_at is null;";

/// Makes the least table in a database of its own.
pub(super) fn prepare(stage: &Stage) -> anyhow::Result<()> {
    stage.server.create_database(DATABASE)?;
    stage.sql(DATABASE, LEAST_TABLE).map(drop)
}

/// Jobs per second with the statements of our queue, in the lane of our queue.
///
/// # Errors
/// When a statement fails.
pub(super) fn ours(stage: &Stage, lane: &mut Lane<'_>, jobs: u32, batch: u32) -> anyhow::Result<f64> {
    lane.clear()?;
    // More than are taken, so that every claim finds a full batch.
    lane.fill(jobs.saturating_add(jobs / 10).saturating_add(500))?;
    lane.tidy()?;
    let before = lane.left()?;
    let database = lane.database().to_owned();
    let finished = || Ok(before.abs_diff(lane.left()?));
    let rate = run(stage, &database, &our_script(batch), jobs, batch, finished)?;
    lane.clear()?;
    Ok(rate)
}

/// Jobs per second with the least table.
///
/// # Errors
/// When a statement fails.
pub(super) fn least(stage: &Stage, jobs: u32, batch: u32) -> anyhow::Result<f64> {
    let count = || -> anyhow::Result<u32> { Ok(stage.sql(DATABASE, "select count(*) from job")?.parse()?) };
    let fill = format!(
        "truncate job; insert into job (run_at) select now() from generate_series(1, {}); vacuum (analyze); checkpoint",
        jobs.saturating_add(jobs / 10).saturating_add(500)
    );
    stage.sql(DATABASE, &fill)?;
    let before = count()?;
    run(stage, DATABASE, &least_script(batch), jobs, batch, || Ok(before.abs_diff(count()?)))
}

/// The rate by what the tables say: with two clients, a claim may find less than it asked for.
fn run(
    stage: &Stage,
    database: &str,
    script: &Script,
    jobs: u32,
    batch: u32,
    mut finished: impl FnMut() -> anyhow::Result<u32>,
) -> anyhow::Result<f64> {
    let each = (jobs / batch).clamp(CLIENTS, MOST) / CLIENTS;
    let sample = pgbench::run(&stage.server, database, script, CLIENTS, Extent::Transactions(each))?;
    let seconds = f64::from(each.saturating_mul(CLIENTS)) / sample.per_second;
    Ok(f64::from(finished()?) / seconds)
}

/// Claim and finish as the queue sends them, each a transaction of its own. What the claim returns goes into pgbench's
/// variables, and from there into the finish, as it goes through the worker.
fn our_script(batch: u32) -> Script {
    let batch = usize::try_from(batch).unwrap_or(1);
    let claim = filled(&claim::statement(batch), &["'floor'", "30", "'{bench}'"]);
    let finish = filled(settle::statement(), &[":ids::bigint[]", ":claims::integer[]"]);
    // A change of rows has to stand at the top.
    let claim = claim.replacen(")\n         update jobs", "),\n         claimed as (update jobs", 1);
    let text = format!(
        "{claim})
         select coalesce(array_agg(id), '{{}}') as ids, coalesce(array_agg(claim), '{{}}') as claims
         from claimed \\gset\n{finish};\n"
    );
    Script { text, constants: Vec::new() }
}

fn least_script(batch: u32) -> Script {
    let text = format!(
        "with best as materialized (
             select id from job where claimed_at is null order by run_at, id limit {batch} for update skip locked
         ),
         claimed as (
             update job set claimed_at = now() from best where job.id = best.id returning job.id, arguments
         )
         select coalesce(array_agg(id), '{{}}') as ids from claimed \\gset
         delete from job where id = any (:ids::bigint[]);\n"
    );
    Script { text, constants: Vec::new() }
}

/// Puts expressions in the place of `$1`, `$2`, …
fn filled(statement: &str, expressions: &[&str]) -> String {
    // From the last: `$1` is also the beginning of `$10`.
    let numbered = (1..).zip(expressions).collect::<Vec<(usize, _)>>();
    numbered.iter().rev().fold(statement.to_owned(), |text, (number, expression)| {
        text.replace(&format!("${number}"), expression)
    })
}
