//! Requests that make no sense are refused with words, and leave no trace.

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};

use crate::checks::checks;
use crate::kit::{Checked, Kit};

checks! {
    "a body that makes no sense is refused, names the field, and leaves no trace": refuses_bad_fields;
    "a body that is no JSON, and one without a needed field, are refused": refuses_broken_bodies;
    "a body above 64 KiB is refused": refuses_large_bodies;
    "an id that could leave its folder is refused": refuses_bad_ids;
    "fields it does not know are ignored": ignores_unknown_fields;
}

async fn refuses_bad_fields(kit: &Kit) -> Checked {
    let past = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let cases: [(&str, Value); 9] = [
        ("store", json!({"store": "surely-no-such-store"})),
        ("object_prefix", json!({"object_prefix": "../elsewhere"})),
        ("object_prefix", json!({"object_prefix": ""})),
        ("encryption", json!({"encryption": {"scheme": "rot13", "key": "k", "key_id": "k"}})),
        ("encryption", json!({"encryption": {"scheme": "age", "key": "", "key_id": "k"}})),
        ("compression", json!({"compression": {"scheme": "zstd", "level": 1000}})),
        ("deadline", json!({"deadline": past})),
        ("part_size_limit", json!({"part_size_limit": 0})),
        ("rate_limit_bytes_per_second", json!({"rate_limit_bytes_per_second": 0})),
    ];
    for (number, (field, change)) in cases.into_iter().enumerate() {
        let path = kit.backup(&format!("bad-{number}"));
        let refused = kit.put(&path, &kit.backup_body(change.clone())).await?;
        refused.expect(&format!("a backup with {change}"), 400, "BadRequest")?;
        ensure!(
            refused.text("description").contains(field),
            "{change}: the description lacks `{field}`: {}",
            refused.shown()
        );
        kit.get(&path).await?.expect("a refused start leaves no trace", 404, "NotFound")?;
    }
    Ok(())
}

async fn refuses_broken_bodies(kit: &Kit) -> Checked {
    let path = kit.backup("broken");
    let mut without_epoch = kit.backup_body(json!({}));
    if let Some(body) = without_epoch.as_object_mut() {
        body.remove("epoch");
    }
    for body in ["{", "[]", "\"text\"", &without_epoch.to_string()] {
        let refused = kit.send(Method::PUT, &path, Some(body.to_owned())).await?;
        refused.expect("a broken body", 400, "BadRequest")?;
    }
    let restore = kit.put(&kit.restore("broken"), &json!({"epoch": 1})).await?;
    restore.expect("a restore without its fields", 400, "BadRequest")?;
    kit.get(&path).await?.expect("a refused start leaves no trace", 404, "NotFound")
}

async fn refuses_large_bodies(kit: &Kit) -> Checked {
    let path = kit.backup("large");
    let body = kit.backup_body(json!({"padding": "x".repeat(128 * 1024)}));
    let refused = kit.put(&path, &body).await?;
    ensure!(matches!(refused.status, 400 | 413), "a body of 128 KiB: {}", refused.shown());
    kit.get(&path).await?.expect("a refused start leaves no trace", 404, "NotFound")
}

async fn refuses_bad_ids(kit: &Kit) -> Checked {
    let long = "x".repeat(201);
    for id in ["a%20b", "a%2Fb", "...", "a%00", "%C3%A4", long.as_str()] {
        let refused = kit.put(&format!("/v1/backups/{id}"), &kit.backup_body(json!({}))).await?;
        ensure!(matches!(refused.status, 400 | 404), "the id {id}: {}", refused.shown());
    }
    Ok(())
}

async fn ignores_unknown_fields(kit: &Kit) -> Checked {
    let path = kit.backup("unknown-fields");
    let started = kit.put(&path, &kit.backup_body(json!({"from_the_future": {"a": [1]}}))).await?;
    started.expect("a body with an unknown field", 202, "")?;
    kit.stopped(&path).await.map(drop)
}
