//! Starting: at most once, and what a finished backup says of itself.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::checks::checks;
use crate::kit::{Checked, Kit};

checks! {
    "what it never heard of is 404": never_heard_of;
    "a repeated start starts nothing, before the end and after it": starts_at_most_once;
    "a finished backup tells its parts, their sizes and a checksum": tells_what_it_stored;
    "an operation whose deadline passes fails with `timed_out`": keeps_the_deadline;
}

async fn never_heard_of(kit: &Kit) -> Checked {
    kit.get(&kit.backup("unheard-of")).await?.expect("a backup", 404, "NotFound")?;
    kit.get(&kit.restore("unheard-of")).await?.expect("a restore", 404, "NotFound")
}

async fn starts_at_most_once(kit: &Kit) -> Checked {
    let path = kit.backup("twice");
    let body = kit.backup_body(json!({}));
    let first = kit.put(&path, &body).await?;
    first.expect("the first start", 202, "")?;
    let repeat = kit.put(&path, &body).await?;
    repeat.expect("the repeat", 200, "")?;
    ensure!(
        first.text("started_at") == repeat.text("started_at"),
        "the repeat began anew: {}",
        repeat.shown()
    );
    let ended = kit.ended(&path).await?;
    ended.expect("the end", 200, "done")?;
    let late = kit.put(&path, &body).await?;
    late.expect("a start of what is done", 200, "done")?;
    ensure!(late.body == ended.body, "the end changed from {} to {}", ended.shown(), late.shown());
    Ok(())
}

async fn tells_what_it_stored(kit: &Kit) -> Checked {
    let backup = kit.finished_backup(&kit.backup("parts")).await?;
    let parts = backup.body.get("parts").and_then(Value::as_array).context("no parts")?;
    ensure!(!parts.is_empty(), "no parts: {}", backup.shown());
    for (number, part) in (1..).zip(parts) {
        let name = part.get("name").and_then(Value::as_str).unwrap_or_default();
        ensure!(name == format!("data.{number:05}"), "part {number} is called {name}");
    }
    let sum: i64 = parts.iter().filter_map(|part| part.get("size")?.as_i64()).sum();
    ensure!(backup.number("bytes_stored") == Some(sum), "the parts have {sum} bytes: {}", backup.shown());
    ensure!(backup.text("checksum").len() == 64, "no checksum: {}", backup.shown());
    let filters = backup.body.get("filter_plugins").cloned().unwrap_or_default();
    ensure!(filters == json!(["zstd", "age"]), "filter_plugins are {filters}");
    Ok(())
}

async fn keeps_the_deadline(kit: &Kit) -> Checked {
    let path = kit.backup("deadline");
    let deadline = chrono::Utc::now() + chrono::TimeDelta::seconds(2);
    kit.start_slow(&path, json!({"deadline": deadline})).await?;
    let ended = kit.ended(&path).await?;
    ended.expect("the end", 200, "failed")?;
    ensure!(ended.code() == "timed_out", "the code is not timed_out: {}", ended.shown());
    Ok(())
}
