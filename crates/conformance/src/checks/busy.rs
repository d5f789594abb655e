//! More than the agent can do at once.

use anyhow::{bail, ensure};
use serde_json::json;

use crate::checks::checks;
use crate::kit::{Checked, Kit};

/// No agent is meant to run more at once.
const MOST: usize = 65;

checks! {
    "beyond what it can do at once it refuses with what runs, or with when to try again": refuses_when_busy;
    "a restore is refused while a backup runs": refuses_a_restore_beside_a_backup;
}

async fn refuses_when_busy(kit: &Kit) -> Checked {
    let first = kit.backup("busy-0");
    kit.start_slow(&first, json!({})).await?;
    let mut begun = vec![first.clone()];
    let mut checked = None;
    while checked.is_none() && begun.len() <= MOST {
        let path = kit.backup(&format!("busy-{}", begun.len()));
        let answer = kit.put(&path, &kit.slow_body(json!({}))).await?;
        match answer.status {
            202 => begun.push(path),
            409 => {
                let running = answer.text("running_id");
                let is_known = begun.iter().any(|path| path.ends_with(running)) && !running.is_empty();
                checked = Some((path, is_known, answer));
            }
            429 => {
                let seconds = answer.retry_after.as_deref().and_then(|text| text.parse::<u32>().ok());
                checked = Some((path, seconds.is_some_and(|seconds| seconds > 0), answer));
            }
            _ => bail!("a backup beside {} others: {}", begun.len(), answer.shown()),
        }
    }
    for path in &begun {
        kit.stopped(path).await?;
    }
    let Some((path, is_complete, answer)) = checked else {
        bail!("it runs more than {MOST} backups at once")
    };
    ensure!(is_complete, "neither a running_id nor a Retry-After to go by: {}", answer.shown());
    kit.get(&path).await?.expect("a refused start leaves no trace", 404, "NotFound")
}

async fn refuses_a_restore_beside_a_backup(kit: &Kit) -> Checked {
    kit.may_restore()?;
    let done = kit.finished_backup(&kit.backup("beside")).await?;
    let running = kit.backup("beside-running");
    kit.start_slow(&running, json!({})).await?;
    let refused = kit.put(&kit.restore("beside"), &kit.restore_body(&done, json!({}))).await?;
    kit.stopped(&running).await?;
    refused.expect("a restore beside a backup", 409, "OperationRunning")
}
