//! `backupctl restores …`

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{acknowledge, id_of, parse};
use crate::api::{ApiClient, Restore};
use crate::args::{RestoresCommand, WaitArgs};
use crate::error::Error;
use crate::output::{Screen, Table, amount, one_line, since, span, time_or_dash};
use crate::prompt::{self, Confirmed};
use crate::wait::{self, Operation, Unit};

/// What a restore does before it loads anything: the agent reads the stored bytes once and compares the checksum.
const BEFORE_BYTES: &str = "checking the stored bytes";

pub(super) async fn run(
    client: &ApiClient,
    screen: &mut Screen,
    command: &RestoresCommand,
) -> Result<(), Error> {
    match command {
        RestoresCommand::Create { instance, backup, to_time, source_instance, yes, wait } => {
            let what = match (backup, to_time) {
                (Some(backup), None) => format!("backup {backup}"),
                (Some(backup), Some(time)) => format!("backup {backup} and its log up to {time}"),
                (None, time) => format!("the state of {}", time.as_deref().unwrap_or_default()),
            };
            let question =
                format!("Restore {what} into {instance}? The data that is there will be replaced.");
            prompt::confirm(&question, Confirmed::from(*yes))?;
            let mut body = Map::new();
            let fields = [("source_instance_id", source_instance), ("recovery_target_time", to_time)];
            for (name, value) in fields {
                body.extend(value.as_ref().map(|value| (name.to_owned(), Value::from(value.as_str()))));
            }
            let number = backup.map(|backup| backup.to_string());
            let path = match &number {
                Some(number) => vec!["instances", instance, "backups", number, "restore"],
                None => vec!["instances", instance, "restores"],
            };
            let answer = client.send(Method::POST, &path, &Value::Object(body)).await?;
            follow(client, screen, instance, &answer, wait).await
        }
        RestoresCommand::List { instance } => list(client, screen, instance).await,
        RestoresCommand::Show { instance, id } => {
            let restore = client.get(&["instances", instance, "restores", &id.to_string()], &[]).await?;
            show(screen, &restore)
        }
        RestoresCommand::Cancel { instance, id } => {
            let path = ["instances", instance, "restores", &id.to_string(), "cancel"];
            let answer = client.send(Method::POST, &path, &json!({})).await?;
            let next =
                format!("Restore {id} is being cancelled. See: backupctl restores show {instance} {id}");
            acknowledge(screen, &answer, &next)
        }
    }
}

async fn follow(
    client: &ApiClient,
    screen: &mut Screen,
    instance: &str,
    answer: &Value,
    args: &WaitArgs,
) -> Result<(), Error> {
    let id = id_of(answer)?.to_string();
    let show_command = format!("backupctl restores show {instance} {id}");
    if !args.wait {
        return acknowledge(screen, answer, &format!("Restore {id} is queued. See: {show_command}"));
    }
    let operation = Operation {
        name: format!("Restore {id}"),
        before_bytes: Some(BEFORE_BYTES),
        unit: Unit::Bytes,
        path: vec!["instances", instance, "restores", &id],
        show: show_command,
    };
    let restore = wait::until_ended(client, screen, &operation, args).await?;
    show(screen, &restore)
}

async fn list(client: &ApiClient, screen: &mut Screen, instance: &str) -> Result<(), Error> {
    let answer = client.get(&["instances", instance, "restores"], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let mut table = Table::new(&[">ID", ">BACKUP", "STATUS", "TRIGGERED (UTC)", "TOOK", "REASON"])
        .droppable(&["TOOK", "BACKUP"]);
    for restore in parse::<Vec<Restore>>(&answer)? {
        table.row([
            restore.id.to_string(),
            restore.backup_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            restore.status.clone(),
            time_or_dash(restore.triggered_at.as_deref()),
            span(restore.started_at.as_deref(), restore.finished_at.as_deref()),
            restore.reason_code.unwrap_or_default(),
        ]);
    }
    screen.table(table, "No restores yet.")
}

fn show(screen: &mut Screen, answer: &Value) -> Result<(), Error> {
    if screen.wants_json() {
        return screen.json(answer);
    }
    let restore: Restore = parse(answer)?;
    let from = restore.metadata.and_then(|metadata| metadata.restored_from);
    let mut fields = vec![
        ("Restore", restore.id.to_string()),
        ("Status", one_line(&restore.status)),
        ("Of backup", restore.backup_id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
        ("Data of (UTC)", time_or_dash(from.as_deref())),
        ("Triggered (UTC)", time_or_dash(restore.triggered_at.as_deref())),
        ("Started (UTC)", time_or_dash(restore.started_at.as_deref())),
        ("Finished (UTC)", time_or_dash(restore.finished_at.as_deref())),
    ];
    if restore.status == "running" {
        fields.push(("Running for", since(restore.started_at.as_deref())));
        let processed = match restore.bytes_processed.unwrap_or(0) {
            0 => format!("nothing yet, {BEFORE_BYTES}"),
            done => amount(done, restore.total_bytes_estimate),
        };
        fields.push(("Processed", processed));
    } else {
        fields.push(("Took", span(restore.started_at.as_deref(), restore.finished_at.as_deref())));
    }
    let optional = [("Reason", restore.reason_code.as_deref()), ("Message", restore.msg.as_deref())];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, one_line(value?)))));
    screen.fields(&fields)
}
