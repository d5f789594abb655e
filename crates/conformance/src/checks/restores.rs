//! Restores: what is not proven whole never touches the data.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::checks::checks;
use crate::client::Answer;
use crate::kit::{Checked, Kit};

checks! {
    "a finished backup can be restored, and a repeat restores nothing": restores_once;
    "a restore with another checksum fails with `checksum_mismatch`": refuses_another_checksum;
    "a restore with another key fails with `decryption_failed`": refuses_another_key;
    "a restore of what is not in the store fails with `store_error`": refuses_what_is_not_there;
}

async fn restores_once(kit: &Kit) -> Checked {
    kit.may_restore()?;
    let backup = kit.finished_backup(&kit.backup("to-restore")).await?;
    let path = kit.restore("restore");
    let body = kit.restore_body(&backup, json!({}));
    kit.put(&path, &body).await?.expect("a restore", 202, "")?;
    let ended = kit.ended(&path).await?;
    ended.expect("the end", 200, "done")?;
    let repeat = kit.put(&path, &body).await?;
    repeat.expect("a repeat", 200, "done")?;
    ensure!(repeat.body == ended.body, "the end changed from {} to {}", ended.shown(), repeat.shown());
    Ok(())
}

async fn refuses_another_checksum(kit: &Kit) -> Checked {
    fails(kit, "checksum", "checksum_mismatch", |_| json!({"checksum": "0".repeat(64)})).await
}

async fn refuses_another_key(kit: &Kit) -> Checked {
    let key = json!({"encryption": {"scheme": "age", "key": "another key", "key_id": "conformance"}});
    fails(kit, "key", "decryption_failed", |_| key).await
}

async fn refuses_what_is_not_there(kit: &Kit) -> Checked {
    fails(kit, "absent", "store_error", |kit| json!({"backup_id": kit.id("not-there")})).await
}

async fn fails(kit: &Kit, name: &str, code: &str, change: impl FnOnce(&Kit) -> Value) -> Checked {
    kit.may_restore()?;
    let backup: Answer = kit.finished_backup(&kit.backup(&format!("for-{name}"))).await?;
    let path = kit.restore(name);
    kit.put(&path, &kit.restore_body(&backup, change(kit))).await?.expect("a restore", 202, "")?;
    let ended = kit.ended(&path).await?;
    ended.expect("the end", 200, "failed")?;
    ensure!(ended.code() == code, "the code is not {code}: {}", ended.shown());
    Ok(())
}
