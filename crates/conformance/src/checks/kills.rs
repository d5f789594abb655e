//! What a kill leaves: the agent journals before it acts.

use anyhow::ensure;
use serde_json::json;

use crate::checks::checks;
use crate::kit::{Checked, Kit};

checks! {
    "what ran when it was killed is `interrupted`, for ever": reports_interrupted;
    "what had ended before a kill ended the same way afterwards": remembers_ends;
}

async fn reports_interrupted(kit: &Kit) -> Checked {
    needs_restarts(kit)?;
    let path = kit.backup("killed");
    kit.start_slow(&path, json!({"epoch": 4})).await?;
    kit.killed().await?;
    let ended = kit.get(&path).await?;
    ended.expect("a killed backup", 200, "failed")?;
    ensure!(ended.code() == "interrupted", "the code is not interrupted: {}", ended.shown());
    let again = kit.put(&path, &kit.backup_body(json!({"epoch": 4}))).await?;
    again.expect("a start of what was interrupted", 200, "failed")?;
    let stale = kit.put(&path, &kit.backup_body(json!({"epoch": 3}))).await?;
    stale.expect("a lower epoch after the kill", 409, "StaleEpoch")?;
    kit.finished_backup(&kit.backup("after-the-kill")).await.map(drop)
}

async fn remembers_ends(kit: &Kit) -> Checked {
    needs_restarts(kit)?;
    let (done, never) = (kit.backup("done-before"), kit.backup("never-before"));
    let before = kit.finished_backup(&done).await?;
    kit.delete(&format!("{never}?unless_begun=true")).await?.expect("a stop", 200, "cancelled")?;
    kit.killed().await?;
    let after = kit.get(&done).await?;
    ensure!(after.body == before.body, "the end changed from {} to {}", before.shown(), after.shown());
    let late = kit.put(&never, &kit.backup_body(json!({}))).await?;
    late.expect("a start of what was stopped before its beginning", 200, "cancelled")
}

fn needs_restarts(kit: &Kit) -> Checked {
    match kit.target.restart {
        Some(_) => Ok(()),
        None => Err(crate::kit::Skip("nobody said how to kill and start the agent".to_owned()).into()),
    }
}
