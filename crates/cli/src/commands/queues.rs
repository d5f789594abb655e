//! `backupctl queues …`: what waits, what runs, what failed and why.

use super::parse;
use crate::api::{ApiClient, Job, Queue};
use crate::args::{JobState, QueuesArgs, QueuesCommand};
use crate::error::Error;
use crate::output::{Screen, Table, one_line, time_or_dash};

pub(super) async fn run(client: &ApiClient, screen: &mut Screen, args: &QueuesArgs) -> Result<(), Error> {
    match &args.command {
        None => overview(client, screen).await,
        Some(QueuesCommand::Jobs { queue, state, limit }) => {
            jobs(client, screen, queue.as_deref(), *state, *limit).await
        }
    }
}

async fn overview(client: &ApiClient, screen: &mut Screen) -> Result<(), Error> {
    let answer = client.get(&["v2", "queues"], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let queues: Vec<Queue> = parse(&answer)?;
    let mut table = Table::new(&[
        "QUEUE",
        ">READY",
        ">SCHEDULED",
        ">RUNNING",
        ">FAILED 24H",
        "OLDEST READY (UTC)",
        ">WORKERS",
    ])
    .droppable(&["SCHEDULED", "RUNNING", "OLDEST READY (UTC)"]);
    for queue in &queues {
        table.row([
            queue.queue.clone(),
            queue.ready.to_string(),
            queue.scheduled.to_string(),
            queue.running.to_string(),
            queue.failed.to_string(),
            time_or_dash(queue.oldest_ready_at.as_deref()),
            queue.served_by.len().to_string(),
        ]);
    }
    screen.table(table, "The manager names no queues.")?;
    for queue in queues.iter().filter(|queue| queue.served_by.is_empty()) {
        let name = one_line(&queue.queue);
        screen.remark(&format!("No live worker serves {name}: start one with --queues {name}."))?;
    }
    for queue in queues.iter().filter(|queue| queue.failed > 0) {
        let name = one_line(&queue.queue);
        screen.remark(&format!("See what failed: backupctl queues jobs --queue {name} --state failed"))?;
    }
    Ok(())
}

async fn jobs(
    client: &ApiClient,
    screen: &mut Screen,
    queue: Option<&str>,
    state: Option<JobState>,
    limit: u32,
) -> Result<(), Error> {
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(queue.map(|queue| ("queue", queue)));
    query.extend(state.map(|state| ("state", state.as_str())));
    let answer = client.get(&["v2", "queues", "jobs"], &query).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let mut table =
        Table::new(&[">ID", "QUEUE", "ARGUMENTS", "STATE", ">TRY", "WHEN (UTC)", "WORKER OR ERROR"])
            .wrapping(&["ARGUMENTS", "WORKER OR ERROR"])
            .droppable(&["TRY", "ARGUMENTS", "WHEN (UTC)"]);
    for job in parse::<Vec<Job>>(&answer)? {
        table.row([
            job.id.to_string(),
            job.queue,
            arguments(&job.arguments),
            job.state,
            format!("{}/{}", job.attempt, job.max_attempts),
            time_or_dash(job.finished_at.as_deref().or(job.run_at.as_deref())),
            job.last_error.or(job.claimed_by).unwrap_or_default(),
        ]);
    }
    screen.table(table, &no_jobs(queue, state))
}

/// Names the filter that nothing has passed.
fn no_jobs(queue: Option<&str>, state: Option<JobState>) -> String {
    let state = state.map(|state| format!("{} ", state.as_str())).unwrap_or_default();
    let queue = queue.map(|queue| format!(" in {}", one_line(queue))).unwrap_or_default();
    format!("No {state}jobs{queue}.")
}

/// `operation=backup id=7` rather than JSON.
fn arguments(arguments: &serde_json::Value) -> String {
    let Some(object) = arguments.as_object() else { return arguments.to_string() };
    let pairs = object.iter().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}
