//! `backupctl health`, `retention` and `backup-all`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{acknowledge, parse};
use crate::api::{ApiClient, RetentionRow};
use crate::args::RetentionArgs;
use crate::error::Error;
use crate::output::{Screen, Table, one_line, time_or_dash};

/// Exit code 0 when the manager calls itself healthy.
pub(super) async fn health(client: &ApiClient, screen: &mut Screen) -> Result<(), Error> {
    let (is_healthy, said) = client.health().await?;
    if screen.wants_json() {
        screen.json(&said)?;
    } else {
        if is_healthy {
            screen.line("The manager is healthy.")?;
        }
        for line in complaints(&said) {
            screen.line(&line)?;
        }
    }
    if is_healthy { Ok(()) } else { Err(Error::Unhealthy) }
}

/// What the manager complains about; nothing when all is well.
fn complaints(said: &Value) -> Vec<String> {
    let description = said.get("description").and_then(Value::as_str).map(one_line);
    let brokers = said.get("failing_service_brokers").and_then(Value::as_array).into_iter().flatten();
    let brokers = brokers.filter_map(Value::as_str).map(|name| {
        let name = one_line(name);
        format!(
            "The service broker {name} could not be asked lately; new and deleted instances are not noticed."
        )
    });
    description.into_iter().chain(brokers).collect()
}

pub(super) async fn retention(
    client: &ApiClient,
    screen: &mut Screen,
    args: &RetentionArgs,
) -> Result<(), Error> {
    let query: Vec<_> = args.instance.iter().map(|guid| ("instance_id", guid.as_str())).collect();
    let answer = client.get(&["v2", "retention"], &query).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let rows: Vec<RetentionRow> = parse(&answer)?;
    let mut table = Table::new(&["INSTANCE", ">ID", "STATUS", "TRIGGERED (UTC)", "ACTION", "BECAUSE"])
        .wrapping(&["BECAUSE"])
        .droppable(&["TRIGGERED (UTC)", "STATUS"]);
    let count = |action: &str| rows.iter().filter(|row| row.action == action).count();
    let summary =
        format!("{} would stay, {} be marked, {} be removed.", count("keep"), count("mark"), count("remove"));
    for row in &rows {
        table.row([
            row.instance_id.clone(),
            row.id.to_string(),
            row.status.clone(),
            time_or_dash(row.triggered_at.as_deref()),
            row.action.clone(),
            row.reason.clone(),
        ]);
    }
    screen.table(table, "There are no backups to judge.")?;
    if rows.is_empty() { Ok(()) } else { screen.remark(&summary) }
}

pub(super) async fn backup_all(client: &ApiClient, screen: &mut Screen) -> Result<(), Error> {
    let answer = client.send(Method::POST, &["backup_agent", "backup_all"], &json!({})).await?;
    let next = "A backup of all service instances is queued. See: backupctl queues";
    acknowledge(screen, &answer, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_the_managers_words_and_failing_brokers() {
        assert_eq!(complaints(&json!({"error": "Unhealthy", "description": "No worker."})), ["No worker."]);
        let healthy = json!({"status": "healthy", "failing_service_brokers": ["pg"]});
        assert!(complaints(&healthy)[0].contains("broker pg "));
        assert!(complaints(&json!({"status": "healthy"})).is_empty());
    }
}
