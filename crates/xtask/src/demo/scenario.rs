//! The story: start, back up, damage, restore, compare.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use indicatif::HumanBytes;
use serde_json::Value;
use tokio::task::block_in_place;

use super::api::Api;
use super::dataset;
use super::fingerprint::Fingerprint;
use super::follow::Followed;
use super::report::{Report, rate};
use super::stage::{INSTANCE, LEASE, Stage};
use super::{Chaos, Options, farewell};

/// Plays it on a stage that the caller keeps, whatever happens here.
pub(super) async fn play(
    options: &Options,
    place: &mut Option<Stage>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let act = report.begin("starting two PostgreSQL servers and filling one of them");
    let stage = place.insert(block_in_place(Stage::build)?);
    let filled = stage.filled;
    let remark =
        format!("{}, largest table {}", HumanBytes(filled.total_bytes), HumanBytes(filled.big_table_bytes));
    report.end("servers and data", act, remark);

    let act = report.begin("starting backup agent, API (HTTP and HTTPS) and four worker processes");
    block_in_place(|| stage.installation.start())?;
    let api = Api::new(&stage.installation)?;
    api.get_secure("/v2/healthy").await?;
    know_instance(stage, &api).await?;
    report.end("agent, API, workers", act, "");

    let act = report.begin("taking the fingerprint of everything in the service instance");
    let before = block_in_place(|| Fingerprint::take(&stage.instance))?;
    report.end("fingerprint", act, format!("{} facts", before.len()));

    let act = report.begin("backing up through the API");
    let backup = back_up(stage, &api, options.chaos).await?;
    let read = number(&backup, "bytes_processed");
    let remark = format!(
        "{} read, {} stored, {}",
        HumanBytes(read),
        HumanBytes(number(&backup, "size")),
        rate(read, act.elapsed())
    );
    report.end("backup", act, remark);

    let act = report.begin("damaging the data: dropping tables, changing rows and roles, adding a database");
    block_in_place(|| dataset::damage(&stage.instance))?;
    let damaged = block_in_place(|| Fingerprint::take(&stage.instance))?;
    let differences = before.differences(&damaged).len();
    ensure!(differences > 0, "the damage did not change anything");
    report.end("damage", act, format!("{differences} facts differ"));

    let act = report.begin("restoring through the API, while somebody is connected");
    block_in_place(|| stage.connect_client())?;
    let restore = restore(&api, number(&backup, "id")).await?;
    let remark = format!("{} loaded into the data service", HumanBytes(number(&restore, "bytes_processed")));
    report.end("restore", act, remark);

    let act = report.begin("comparing everything with what was there before");
    let after = block_in_place(|| Fingerprint::take(&stage.instance))?;
    let differences = before.differences(&after);
    report.end("comparison", act, format!("{} facts, {} differ", after.len(), differences.len()));
    if !differences.is_empty() {
        bail!("the restored data are not what was backed up:\n{}", differences.join("\n"));
    }
    report.print();
    farewell::conclude(options);
    Ok(())
}

/// Waits until the manager has asked its broker and knows the instance.
async fn know_instance(stage: &Stage, api: &Api) -> anyhow::Result<()> {
    let begin = Instant::now();
    let path = format!("/instances/{INSTANCE}");
    block_in_place(|| stage.ask_brokers_now())?;
    while let Err(error) = api.get(&path).await {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err(error.context("the manager has not learnt the instance from its inventory"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn back_up(stage: &mut Stage, api: &Api, chaos: Option<Chaos>) -> anyhow::Result<Value> {
    let mut chaos = chaos;
    loop {
        let requested = api.post(&format!("/instances/{INSTANCE}/backups")).await?;
        let path = format!("/instances/{INSTANCE}/backups/{}", number(&requested, "id"));
        let mut followed = Followed::new(api, path, "backup")?;
        let strike = chaos.take();
        if let Some(party) = strike {
            followed.until_moving().await?;
            println!("    kill -9 {party:?}");
            block_in_place(|| stage.kill_and_restart(party))?;
        }
        let killed = Instant::now();
        let backup = followed.until_ended().await?;
        if let Some(party) = strike {
            let limit = LEASE.saturating_add(Duration::from_secs(30));
            println!("    {} {:.1} s after the kill", describe(&backup), killed.elapsed().as_secs_f64());
            ensure!(killed.elapsed() < limit, "that took longer than the lease and the backup itself");
            if party == Chaos::Agent && text(&backup, "status") == "failed" {
                println!(
                    "    a restarted agent reports its interrupted work as failed; backing up once more"
                );
                continue;
            }
        }
        ensure!(text(&backup, "status") == "done", "the backup ended as {}", describe(&backup));
        return Ok(backup);
    }
}

async fn restore(api: &Api, backup: u64) -> anyhow::Result<Value> {
    let requested = api.post(&format!("/instances/{INSTANCE}/backups/{backup}/restore")).await?;
    let path = format!("/instances/{INSTANCE}/restores/{}", number(&requested, "id"));
    let restore = Followed::new(api, path, "restore")?.until_ended().await?;
    ensure!(text(&restore, "status") == "done", "the restore ended as {}", describe(&restore));
    Ok(restore)
}

fn number(object: &Value, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn describe(object: &Value) -> String {
    [text(object, "status"), text(object, "reason_code"), text(object, "msg")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}
