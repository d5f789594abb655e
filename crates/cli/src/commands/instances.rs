//! `backupctl instances …`

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::{acknowledge, parse};
use crate::api::{ApiClient, Instance, InstanceConfig, PitrWindow};
use crate::args::{ConfigChanges, ConfigCommand, InstancesCommand};
use crate::error::Error;
use crate::output::{Screen, Table, one_line, time_or_dash};
use crate::settings::secret_from_file;

pub(super) async fn run(
    client: &ApiClient,
    screen: &mut Screen,
    command: &InstancesCommand,
) -> Result<(), Error> {
    match command {
        InstancesCommand::List => list(client, screen).await,
        InstancesCommand::Show { instance } => show(client, screen, instance).await,
        InstancesCommand::Pitr { instance } => pitr(client, screen, instance).await,
        InstancesCommand::Config(ConfigCommand::Get { instance }) => get(client, screen, instance).await,
        InstancesCommand::Config(ConfigCommand::Set { instance, changes }) => {
            let answer = client.send(Method::PUT, &["instances", instance], &body(changes)?).await?;
            let note = match changes.encryption_key_file {
                Some(_) => {
                    " The new key is used from the next backup on; older backups can be restored, but not downloaded."
                }
                None => "",
            };
            acknowledge(screen, &answer, &format!("The configuration of {instance} is changed.{note}"))
        }
    }
}

async fn pitr(client: &ApiClient, screen: &mut Screen, guid: &str) -> Result<(), Error> {
    let answer = client.get(&["v1", "instances", guid, "pitr"], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let window: PitrWindow = parse(&answer)?;
    screen.fields(&[
        ("First moment (UTC)", time_or_dash(Some(&window.start_time))),
        ("Last moment (UTC)", time_or_dash(Some(&window.end_time))),
        ("Moves on", if window.is_growing { "yes" } else { "no" }.to_owned()),
        ("Because", or_dash(window.reason)),
    ])
}

async fn list(client: &ApiClient, screen: &mut Screen) -> Result<(), Error> {
    let instances = client.instances().await?;
    if screen.wants_json() {
        return screen.json(&Value::Array(instances));
    }
    let mut table = Table::new(&["INSTANCE", "BROKER", "STATE", ">BACKUPS", "LAST DONE (UTC)"])
        .droppable(&["BROKER", "BACKUPS", "STATE"]);
    for instance in instances {
        let instance: Instance = parse(&instance)?;
        table.row([
            instance.instance_id,
            or_dash(instance.service_broker),
            or_dash(instance.state),
            instance.backups.len().to_string(),
            time_or_dash(instance.last_done_at.as_deref()),
        ]);
    }
    let nothing =
        "The manager knows no service instances yet; it asks the service brokers every few minutes.";
    screen.table(table, nothing)
}

async fn show(client: &ApiClient, screen: &mut Screen, guid: &str) -> Result<(), Error> {
    let answer = client.get(&["instances", guid], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let instance: Instance = parse(&answer)?;
    screen.fields(&[
        ("Instance", one_line(&instance.instance_id)),
        ("Number", instance.id.to_string()),
        ("Service broker", or_dash(instance.service_broker)),
        ("State", or_dash(instance.state)),
        ("Deployment", or_dash(instance.deployment_name)),
        ("Plan", or_dash(instance.plan_guid)),
        ("Organization", or_dash(instance.organization_guid)),
        ("Space", or_dash(instance.space_guid)),
        ("Backups", instance.backups.len().to_string()),
        ("Restores", instance.restores.len().to_string()),
        ("Last done (UTC)", time_or_dash(instance.last_done_at.as_deref())),
    ])
}

async fn get(client: &ApiClient, screen: &mut Screen, guid: &str) -> Result<(), Error> {
    let answer = client.get(&["instances", guid, "config"], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let config: InstanceConfig = parse(&answer)?;
    let number =
        |value: Option<i64>, unit: &str| value.map_or_else(|| "-".to_owned(), |n| format!("{n}{unit}"));
    screen.fields(&[
        ("Newest done backups that always stay", number(config.min_backup_count, "")),
        ("Backups stay at least", number(config.retention_time, " days")),
        ("Shortest encryption key", number(config.min_encryption_key_length, " characters")),
        (
            "Left out of scheduled backups",
            match config.exclude_from_auto_backup {
                Some(true) => "yes",
                Some(false) => "no",
                None => "-",
            }
            .to_owned(),
        ),
        ("Backup type", or_dash(config.backup_type)),
    ])
}

fn body(changes: &ConfigChanges) -> Result<Value, Error> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    set("min_backup_count", changes.min_backup_count.map(Value::from));
    set("retention_time", changes.retention_time.map(Value::from));
    let backup_type = |name: &String| if name == "none" { Value::Null } else { Value::from(name.as_str()) };
    set("backup_type", changes.backup_type.as_ref().map(backup_type));
    set("exclude_from_auto_backup", changes.exclude_from_auto_backup.map(Value::from));
    set("credentials_updated_by_user", changes.credentials_updated_by_user.map(Value::from));
    if let Some(file) = &changes.encryption_key_file {
        set("encryption_key", Some(Value::from(secret_from_file(file)?.expose_secret())));
    }
    Ok(Value::Object(body))
}

fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(|| "-".to_owned(), |text| one_line(&text))
}
