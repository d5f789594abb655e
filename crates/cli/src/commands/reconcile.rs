//! `backupctl reconcile`: asks for a comparison of the three ledgers, waits for it, and shows what differs.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{id_of, parse};
use crate::api::{ApiClient, Reconciliation};
use crate::args::ReconcileArgs;
use crate::error::Error;
use crate::output::{Screen, Table};

/// Most findings the manager answers at once.
const PAGE: &str = "1000";
/// The manager may be away for so long before waiting ends.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn run(client: &ApiClient, screen: &mut Screen, args: &ReconcileArgs) -> Result<(), Error> {
    let id = match &args.show {
        Some(id) => id.clone(),
        None => {
            let mut body = json!({"repair": args.repair, "deep": args.deep});
            if let (Some(guid), Some(fields)) = (&args.instance, body.as_object_mut()) {
                fields.insert("instance_id".to_owned(), json!(guid));
            }
            let answer = client.send(Method::POST, &["v2", "reconciliations"], &body).await?;
            let id = id_of(&answer)?.to_string();
            if args.no_wait {
                let next = format!("See what it finds: backupctl reconcile --show {id}");
                return super::acknowledge(screen, &answer, &next);
            }
            wait(client, screen, &id, args.wait_interval).await?;
            id
        }
    };
    let answer = fetch(client, &id).await?;
    let found: Reconciliation = parse(&answer)?;
    if screen.wants_json() {
        screen.json(&answer)?;
    } else {
        show(screen, &found)?;
    }
    verdict(&found)
}

async fn wait(client: &ApiClient, screen: &mut Screen, id: &str, interval: Duration) -> Result<(), Error> {
    let mut said = String::new();
    let mut away_since: Option<Instant> = None;
    let polling = async {
        loop {
            match client.get(&["v2", "reconciliations", id], &[("limit", "1")]).await {
                Ok(answer) => {
                    away_since = None;
                    let found: Reconciliation = parse(&answer)?;
                    if matches!(found.status.as_str(), "done" | "failed") {
                        return Ok(());
                    }
                    let line = progress(&found);
                    if line != said {
                        screen.remark(&line)?;
                        said = line;
                    }
                }
                Err(error) if error.is_passing() => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(interval).await;
        }
    };
    tokio::select! {
        ended = polling => ended,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted(format!(
            "reconciliation {id} goes on; look again with: backupctl reconcile --show {id}"
        ))),
    }
}

fn progress(found: &Reconciliation) -> String {
    let trouble = found.msg.as_deref().map(|msg| format!(": {}", crate::output::one_line(msg)));
    // In tenths, so that a long one does not fill the screen.
    let tenths =
        found.instances_done.saturating_mul(10).checked_div(found.instances_total).unwrap_or_default();
    let doing = match (found.status.as_str(), found.phase.as_str()) {
        ("queued", _) => "waits for a worker".to_owned(),
        (_, "instances") => format!("{} % of {} instances", tenths.saturating_mul(10), found.instances_total),
        (_, "bytes") => "hashes stored bytes".to_owned(),
        _ => "looks for folders of no instance".to_owned(),
    };
    format!("Reconciliation {}: {doing}{}", found.id, trouble.unwrap_or_default())
}

/// The answer with the findings of all its pages.
async fn fetch(client: &ApiClient, id: &str) -> Result<Value, Error> {
    let path = ["v2", "reconciliations", id];
    let mut answer = client.get(&path, &[("limit", PAGE)]).await?;
    while let Some(after) = answer.get("next_after").and_then(Value::as_i64) {
        let after = after.to_string();
        let mut page = client.get(&path, &[("limit", PAGE), ("after", &after)]).await?;
        let more = page.get_mut("findings").map(Value::take).unwrap_or_default();
        let (Value::Array(more), Some(Value::Array(all))) = (more, answer.get_mut("findings")) else {
            return Err(Error::Answer("a list of findings was expected".into()));
        };
        all.extend(more);
        let next = page.get_mut("next_after").map(Value::take).unwrap_or_default();
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("next_after".to_owned(), next);
        }
    }
    Ok(answer)
}

fn show(screen: &mut Screen, found: &Reconciliation) -> Result<(), Error> {
    let is_repaired = found.findings.iter().any(|finding| finding.outcome.is_some());
    let last = if is_repaired { "REPAIR" } else { "PROPOSED REPAIR" };
    let mut table = Table::new(&["KIND", "INSTANCE", "SUBJECT", "DETAILS", last])
        .wrapping(&["SUBJECT", "DETAILS", "REPAIR", "PROPOSED REPAIR"])
        .droppable(&["INSTANCE"]);
    for finding in &found.findings {
        let kind = match finding.class.as_str() {
            "difference" => finding.kind.clone(),
            class => format!("{class}: {}", finding.kind),
        };
        let repair = finding.outcome.clone().or_else(|| finding.proposal.clone());
        table.row([
            kind,
            finding.instance_id.clone().unwrap_or_else(|| "-".to_owned()),
            finding.subject.clone(),
            finding.details.clone(),
            repair.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    screen.table(table, "The ledgers agree.")?;
    screen.remark(&summary(found))
}

fn summary(found: &Reconciliation) -> String {
    let counts: Vec<String> = found.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    format!(
        "{} of {} instances: {} differences{counts}, {} not compared, {} agents without a journal.",
        found.instances_done, found.instances_total, found.differences, found.not_compared, found.notes
    )
}

/// No news is good news only from everybody.
fn verdict(found: &Reconciliation) -> Result<(), Error> {
    match (found.status.as_str(), found.differences, found.not_compared) {
        ("failed", ..) => {
            let why = found.msg.as_deref().map(crate::output::one_line).unwrap_or_default();
            Err(Error::Failed(format!("the reconciliation could not be brought to its end: {why}")))
        }
        ("done", 0, 0) => Ok(()),
        ("done", 0, _) => Err(Error::Failed("not everything could be compared".to_owned())),
        ("done", ..) => Err(Error::Failed("the ledgers differ".to_owned())),
        _ => Err(Error::Failed("the reconciliation has not ended yet".to_owned())),
    }
}
