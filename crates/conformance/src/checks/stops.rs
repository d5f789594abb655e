//! Stopping: idempotent, also before the beginning and after the end.

use anyhow::ensure;
use serde_json::json;

use crate::checks::checks;
use crate::kit::{Checked, Kit};

checks! {
    "a stop ends what runs, and a second one changes nothing": stops_what_runs;
    "what is stopped before its beginning never begins": never_begins;
    "`unless_begun` leaves alone what has begun": spares_what_has_begun;
    "a stop leaves a finished backup as it is": leaves_what_is_done;
}

async fn stops_what_runs(kit: &Kit) -> Checked {
    let path = kit.backup("stopped");
    kit.start_slow(&path, json!({})).await?;
    kit.stopped(&path).await?.expect("the end", 200, "cancelled")?;
    kit.delete(&path).await?.expect("a second stop", 200, "cancelled")?;
    let again = kit.put(&path, &kit.backup_body(json!({}))).await?;
    again.expect("a start of what is cancelled", 200, "cancelled")?;
    kit.finished_backup(&kit.backup("after-the-stop")).await.map(drop)
}

async fn never_begins(kit: &Kit) -> Checked {
    for (path, body) in [
        (kit.backup("never"), kit.backup_body(json!({"epoch": 3}))),
        (
            kit.restore("never"),
            json!({
                "epoch": 3, "backup_id": kit.id("never"), "store": kit.target.store,
                "object_prefix": kit.target.object_prefix, "checksum": "0".repeat(64),
                "encryption": {"scheme": "age", "key": "k", "key_id": "k"},
                "deadline": chrono::Utc::now() + chrono::TimeDelta::hours(1),
            }),
        ),
    ] {
        let stopped = kit.delete(&format!("{path}?epoch=2&unless_begun=true")).await?;
        stopped.expect("a stop before the beginning", 200, "cancelled")?;
        ensure!(stopped.code() == "never_begun", "the code is not never_begun: {}", stopped.shown());
        kit.put(&path, &body).await?.expect("a start afterwards", 200, "cancelled")?;
        kit.get(&path).await?.expect("its state", 200, "cancelled")?;
    }
    Ok(())
}

async fn spares_what_has_begun(kit: &Kit) -> Checked {
    let path = kit.backup("spared");
    kit.start_slow(&path, json!({})).await?;
    let spared = kit.delete(&format!("{path}?unless_begun=true")).await?;
    spared.expect("unless_begun on what runs", 200, "running")?;
    kit.still_runs(&path).await?;
    kit.stopped(&path).await.map(drop)
}

async fn leaves_what_is_done(kit: &Kit) -> Checked {
    let path = kit.backup("kept");
    let done = kit.finished_backup(&path).await?;
    let stopped = kit.delete(&path).await?;
    stopped.expect("a stop of what is done", 200, "done")?;
    ensure!(stopped.text("checksum") == done.text("checksum"), "the backup changed: {}", stopped.shown());
    Ok(())
}
