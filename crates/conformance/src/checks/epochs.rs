//! Epochs only grow.

use anyhow::ensure;
use serde_json::json;

use crate::checks::checks;
use crate::kit::{Checked, Kit};

checks! {
    "a start with a lower epoch is refused and names the newest": refuses_lower_epochs;
    "a higher epoch is remembered, and starts nothing": remembers_higher_epochs;
    "an order to stop with a lower epoch stops nothing": refuses_stale_stops;
}

async fn refuses_lower_epochs(kit: &Kit) -> Checked {
    let path = kit.backup("lower-epoch");
    kit.put(&path, &kit.backup_body(json!({"epoch": 5}))).await?.expect("epoch 5", 202, "")?;
    let stale = kit.put(&path, &kit.backup_body(json!({"epoch": 4}))).await?;
    stale.expect("epoch 4 after 5", 409, "StaleEpoch")?;
    ensure!(stale.number("newest_epoch") == Some(5), "newest_epoch is not 5: {}", stale.shown());
    kit.stopped(&path).await?;
    let stale = kit.put(&path, &kit.backup_body(json!({"epoch": 4}))).await?;
    stale.expect("epoch 4 after the end", 409, "StaleEpoch")
}

async fn remembers_higher_epochs(kit: &Kit) -> Checked {
    let path = kit.backup("higher-epoch");
    let first = kit.put(&path, &kit.backup_body(json!({"epoch": 1}))).await?;
    first.expect("epoch 1", 202, "")?;
    let higher = kit.put(&path, &kit.backup_body(json!({"epoch": 7}))).await?;
    higher.expect("epoch 7", 200, "")?;
    ensure!(higher.number("epoch") == Some(7), "the epoch is not 7: {}", higher.shown());
    ensure!(higher.text("started_at") == first.text("started_at"), "it began anew: {}", higher.shown());
    kit.put(&path, &kit.backup_body(json!({"epoch": 6}))).await?.expect(
        "epoch 6 after 7",
        409,
        "StaleEpoch",
    )?;
    kit.stopped(&path).await.map(drop)
}

async fn refuses_stale_stops(kit: &Kit) -> Checked {
    let path = kit.backup("stale-stop");
    kit.start_slow(&path, json!({"epoch": 3})).await?;
    let stale = kit.delete(&format!("{path}?epoch=2")).await?;
    stale.expect("a stop with epoch 2 after 3", 409, "StaleEpoch")?;
    ensure!(stale.number("newest_epoch") == Some(3), "newest_epoch is not 3: {}", stale.shown());
    kit.still_runs(&path).await?;
    kit.delete(&format!("{path}?epoch=3")).await?.expect("a stop with epoch 3", 200, "")?;
    kit.ended(&path).await?.expect("the end", 200, "cancelled")
}
