//! `backupctl stores …`: which stores there are, and whether they work.

use reqwest::Method;
use serde_json::{Value, json};

use super::parse;
use crate::api::{ApiClient, Store, StoreCheck};
use crate::args::StoresCommand;
use crate::error::Error;
use crate::output::{Screen, Table, one_line};

pub(super) async fn run(
    client: &ApiClient,
    screen: &mut Screen,
    command: &StoresCommand,
) -> Result<(), Error> {
    match command {
        StoresCommand::List => list(client, screen).await,
        StoresCommand::Check { name } => check(client, screen, name.as_deref()).await,
    }
}

async fn list(client: &ApiClient, screen: &mut Screen) -> Result<(), Error> {
    let answer = client.get(&["v2", "stores"], &[]).await?;
    if screen.wants_json() {
        return screen.json(&answer);
    }
    let mut table = Table::new(&["STORE", "KIND"]);
    for store in parse::<Vec<Store>>(&answer)? {
        table.row([store.name, store.kind]);
    }
    screen.table(table, "The manager has no stores.")?;
    screen.remark("Try everything with them: backupctl stores check")
}

async fn check(client: &ApiClient, screen: &mut Screen, name: Option<&str>) -> Result<(), Error> {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => {
            let stores: Vec<Store> = parse(&client.get(&["v2", "stores"], &[]).await?)?;
            stores.into_iter().map(|store| store.name).collect()
        }
    };
    let mut answers = Vec::new();
    for name in &names {
        answers.push(client.send(Method::POST, &["v2", "stores", name, "check"], &json!({})).await?);
    }
    let checks: Vec<StoreCheck> = parse(&Value::Array(answers.clone()))?;
    match screen.wants_json() {
        true => screen.json(&Value::Array(answers))?,
        false => show(screen, &checks)?,
    }
    let ill: Vec<String> =
        checks.iter().filter(|check| !check.is_healthy).map(|check| one_line(&check.name)).collect();
    match ill.is_empty() {
        true => Ok(()),
        false => Err(Error::Failed(format!("not everything works with: {}", ill.join(", ")))),
    }
}

fn show(screen: &mut Screen, checks: &[StoreCheck]) -> Result<(), Error> {
    let mut table = Table::new(&["STORE", "STEP", "RESULT", ">MS", "WHAT IS WRONG, AND WHAT TO DO"])
        .wrapping(&["WHAT IS WRONG, AND WHAT TO DO"])
        .droppable(&["MS"]);
    for check in checks {
        for step in &check.steps {
            let words = [step.problem.as_deref(), step.advice.as_deref()];
            let words: Vec<&str> =
                words.into_iter().flatten().map(|text| text.trim_end_matches('.')).collect();
            let words = if words.is_empty() { String::new() } else { words.join(". ") + "." };
            table.row([
                check.name.clone(),
                step.name.clone(),
                step.outcome.clone(),
                step.duration_ms.to_string(),
                words,
            ]);
        }
    }
    screen.table(table, "The manager has no stores.")
}
