//! After everything: one backup of every instance is restored into it, and the data are compared with what they were when
//! it was made. An instance none of whose backups has known content makes one first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::dice::Dice;
use crate::facts::Sample;
use crate::load::{Client, Data, Notes, Reply};

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(500);

/// Restores one of each; all instances at once.
pub async fn restore_all(
    client: &Client,
    guids: &[String],
    data: &[Data],
    notes: &Notes,
    seed: u64,
) -> Vec<Sample> {
    let room = Arc::new(tokio::sync::Semaphore::new(6));
    let mut tasks = Vec::new();
    for (position, (guid, data)) in guids.iter().zip(data).enumerate() {
        let (client, guid, data, notes, room) =
            (client.clone(), guid.clone(), data.clone(), notes.clone(), Arc::clone(&room));
        tasks.push(tokio::spawn(async move {
            let _turn = room.acquire().await;
            let dice = Dice::of(seed, u64::try_from(position).unwrap_or(0).saturating_add(5000));
            restore_one(&client, position, &guid, &data, &notes, dice).await
        }));
    }
    let mut samples = Vec::new();
    for task in tasks {
        samples.extend(task.await.ok());
    }
    samples
}

async fn restore_one(
    client: &Client,
    instance: usize,
    guid: &str,
    data: &Data,
    notes: &Notes,
    mut dice: Dice,
) -> Sample {
    let chosen = match choose(client, instance, guid, notes, &mut dice).await {
        Some(chosen) => Ok(chosen),
        None => back_up(client, guid, data).await,
    };
    let (backup, expected) = match chosen {
        Ok(chosen) => chosen,
        Err(error) => {
            let found = Err(format!("no backup could be made: {error:#}"));
            return Sample { instance, backup: 0, expected: String::new(), found };
        }
    };
    let restored = async {
        let path = format!("/instances/{guid}/backups/{backup}/restore");
        let id = accepted(client, &path).await?;
        let restore = ended(client, &format!("/instances/{guid}/restores/{id}")).await?;
        if restore.get("status").is_none_or(|status| status != "done") {
            bail!("the restore ended as {restore}");
        }
        let data = data.clone();
        spawn_blocking(move || data.fingerprint()).await?
    };
    let found = restored.await.map_err(|error: anyhow::Error| format!("{error:#}"));
    Sample { instance, backup, expected, found }
}

/// Any of those that are still good, by what the API says.
async fn choose(
    client: &Client,
    instance: usize,
    guid: &str,
    notes: &Notes,
    dice: &mut Dice,
) -> Option<(i64, String)> {
    let list = client.get(&format!("/instances/{guid}/backups")).await?;
    let good: Vec<i64> = list
        .as_array()?
        .iter()
        .filter(|backup| backup.get("status").is_some_and(|status| status == "done"))
        .filter_map(|backup| backup.get("id").and_then(Value::as_i64))
        .collect();
    let known: Vec<(i64, String)> = notes
        .all()
        .into_iter()
        .filter(|request| request.instance == instance && !request.is_restore && good.contains(&request.id))
        .filter_map(|request| Some((request.id, request.content?)))
        .collect();
    dice.pick(&known).cloned()
}

async fn back_up(client: &Client, guid: &str, data: &Data) -> anyhow::Result<(i64, String)> {
    let same = data.clone();
    let content = spawn_blocking(move || same.fingerprint()).await??;
    let id = accepted(client, &format!("/instances/{guid}/backups")).await?;
    let backup = ended(client, &format!("/instances/{guid}/backups/{id}")).await?;
    if backup.get("status").is_none_or(|status| status != "done") {
        bail!("the backup ended as {backup}");
    }
    Ok((id, content))
}

async fn accepted(client: &Client, path: &str) -> anyhow::Result<i64> {
    let reply = client.call_once(Method::POST, path, None).await;
    match &reply {
        Reply::Answer(201 | 202, body) => body.get("id").and_then(Value::as_i64),
        _ => None,
    }
    .with_context(|| format!("POST {path}: {reply:?}"))
}

async fn ended(client: &Client, path: &str) -> anyhow::Result<Value> {
    let begin = Instant::now();
    loop {
        let found = client.get(path).await;
        let status = found.as_ref().and_then(|body| body.get("status")).and_then(Value::as_str);
        if let (Some("done" | "failed" | "deleted"), Some(body)) = (status, &found) {
            return Ok(body.clone());
        }
        if begin.elapsed() > PATIENCE {
            bail!("{path} is still {found:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
}
