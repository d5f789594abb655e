//! `backupctl backups …`

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{acknowledge, download, holds, id_of, parse, rehearsals};
use crate::api::{ApiClient, Backup};
use crate::args::{BackupsCommand, WaitArgs};
use crate::error::Error;
use crate::output::{Screen, Table, amount, bytes, one_line, since, span, time_or_dash};
use crate::prompt::{self, Confirmed};
use crate::wait::{self, Operation, Unit};

/// A request whose answer was lost is sent again, under the same idempotency key, this often.
const SENDS: u32 = 3;

pub(super) async fn run(
    client: &ApiClient,
    screen: &mut Screen,
    command: &BackupsCommand,
) -> Result<(), Error> {
    match command {
        BackupsCommand::List { instance } => list(client, screen, instance).await,
        BackupsCommand::Create { instance, wait } => create(client, screen, instance, wait).await,
        BackupsCommand::Show { instance, id } => {
            let backup = client.get(&["instances", instance, "backups", &id.to_string()], &[]).await?;
            show(screen, &backup)
        }
        BackupsCommand::Cancel { instance, id } => {
            let path = ["instances", instance, "backups", &id.to_string(), "cancel"];
            let answer = client.send(Method::POST, &path, &json!({})).await?;
            let next = format!("Backup {id} is being cancelled. See: backupctl backups show {instance} {id}");
            acknowledge(screen, &answer, &next)
        }
        BackupsCommand::Verify { instance, id, wait } => {
            rehearsals::request(client, screen, instance, *id, wait).await
        }
        BackupsCommand::Delete { instance, id, yes } => {
            let question = format!("Delete backup {id} of {instance} and its data? This cannot be undone.");
            prompt::confirm(&question, Confirmed::from(*yes))?;
            let answer = client.delete(&["instances", instance, "backups", &id.to_string()]).await?;
            acknowledge(screen, &answer, &format!("Backup {id} is deleted."))
        }
        BackupsCommand::Undelete { instance, id } => {
            let path = ["instances", instance, "backups", &id.to_string(), "undelete"];
            let answer = client.send(Method::POST, &path, &json!({})).await?;
            acknowledge(screen, &answer, &format!("Backup {id} is back; its retention time starts anew."))
        }
        BackupsCommand::Download(args) => download::run(client, screen, args).await,
    }
}

async fn list(client: &ApiClient, screen: &mut Screen, instance: &str) -> Result<(), Error> {
    let answer = client.get(&["instances", instance, "backups"], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let mut table = Table::new(&[">ID", "STATUS", ">SIZE", "TRIGGERED (UTC)", "TOOK", "VERIFIED", "REASON"])
        .wrapping(&["REASON"])
        .droppable(&["TOOK", "SIZE", "VERIFIED"]);
    for backup in parse::<Vec<Backup>>(&answer)? {
        table.row([
            backup.id.to_string(),
            backup.status.clone(),
            size(&backup),
            time_or_dash(backup.triggered_at.as_deref()),
            took(&backup),
            rehearsals::in_short(&backup),
            reason(&backup),
        ]);
    }
    screen.table(table, &format!("No backups yet. Make one: backupctl backups create {instance}"))
}

async fn create(
    client: &ApiClient,
    screen: &mut Screen,
    instance: &str,
    args: &WaitArgs,
) -> Result<(), Error> {
    let answer = request(client, instance).await?;
    let id = id_of(&answer)?.to_string();
    let show_command = format!("backupctl backups show {instance} {id}");
    if !args.wait {
        return acknowledge(screen, &answer, &format!("Backup {id} is queued. See: {show_command}"));
    }
    let operation = Operation {
        name: format!("Backup {id}"),
        before_bytes: None,
        unit: Unit::Bytes,
        path: vec!["instances", instance, "backups", &id],
        show: show_command,
    };
    let backup = wait::until_ended(client, screen, &operation, args).await?;
    show(screen, &backup)
}

async fn request(client: &ApiClient, instance: &str) -> Result<Value, Error> {
    let key = uuid::Uuid::new_v4().to_string();
    let path = ["instances", instance, "backups"];
    let mut sends = 1;
    loop {
        match client.post_idempotently(&path, &key).await {
            Err(error) if error.is_passing() && sends < SENDS => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                sends = sends.saturating_add(1);
            }
            outcome => return outcome,
        }
    }
}

fn show(screen: &mut Screen, answer: &Value) -> Result<(), Error> {
    if screen.wants_json() {
        return screen.json(answer);
    }
    let backup: Backup = parse(answer)?;
    let mut fields = vec![
        ("Backup", backup.id.to_string()),
        ("Status", one_line(&backup.status)),
        ("Size", size(&backup)),
        ("Triggered (UTC)", time_or_dash(backup.triggered_at.as_deref())),
        ("Started (UTC)", time_or_dash(backup.started_at.as_deref())),
        ("Finished (UTC)", time_or_dash(backup.finished_at.as_deref())),
        running_or_took(&backup),
        ("Name in the store", one_line(backup.backup_id.as_deref().unwrap_or("-"))),
        ("Downloadable", if backup.downloadable == Some(true) { "yes" } else { "no" }.to_owned()),
    ];
    if backup.status == "running" {
        let processed = amount(backup.bytes_processed.unwrap_or(0), backup.total_bytes_estimate);
        fields.push(("Processed", processed));
    }
    if let Some(said) = rehearsals::in_words(&backup) {
        fields.push(("Verified (UTC)", said));
    }
    if let Some(hold) = holds::in_words(backup.held.as_ref()) {
        fields.push(("Held", hold));
    }
    let optional = [
        ("SHA-256", backup.checksum.as_deref()),
        ("Reason", backup.reason_code.as_deref()),
        ("Message", backup.msg.as_deref()),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, one_line(value?)))));
    screen.fields(&fields)
}

/// Why it failed, or why it stays.
fn reason(backup: &Backup) -> String {
    let held = backup.held.as_ref().map(|hold| format!("held: {}", hold.reason));
    let all: Vec<String> = backup.reason_code.clone().into_iter().chain(held).collect();
    all.join(", ")
}

fn size(backup: &Backup) -> String {
    backup.size.filter(|size| *size > 0).map_or_else(|| "-".to_owned(), bytes)
}

fn running_or_took(backup: &Backup) -> (&'static str, String) {
    match backup.status.as_str() {
        "running" => ("Running for", since(backup.started_at.as_deref())),
        _ => ("Took", took(backup)),
    }
}

/// The end of a deleted backup's run is not known any more: `finished_at` is the time of the deletion.
fn took(backup: &Backup) -> String {
    match backup.status.as_str() {
        "done" | "failed" => span(backup.started_at.as_deref(), backup.finished_at.as_deref()),
        _ => "-".to_owned(),
    }
}
