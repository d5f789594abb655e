//! Section 2.3.

use serde_json::{Value, json};

use crate::shapes::{CONFIGURATION, check as shape};
use crate::target::Target;

pub(crate) async fn check(target: Target) {
    let (api, path) = (&target.api, format!("/instances/{}", target.instance));
    let config = async || {
        let config = api.get(&format!("{path}/config")).await.json(200);
        shape(&config, CONFIGURATION);
        config
    };
    let before = config().await;
    for field in ["min_backup_count", "retention_time", "min_encryption_key_length"] {
        assert!(before[field].as_i64() >= Some(0), "{before}");
    }
    assert!(before["backup_type"].is_null() || before["backup_type"] == "postgresql_wal", "{before}");

    let is_excluded = before["exclude_from_auto_backup"] == true;
    for (field, value) in [
        ("min_backup_count", json!(0)),
        ("min_backup_count", json!(3)),
        ("retention_time", json!(0)),
        ("retention_time", json!(9)),
        ("exclude_from_auto_backup", json!(!is_excluded)),
    ] {
        let said = api.put(&path, json!({field: value})).await.json(200);
        assert_eq!(said, json!({"message": "instance updated"}));
        assert_eq!(config().await[field], value, "{field}");
    }
    for field in ["min_backup_count", "retention_time", "exclude_from_auto_backup"] {
        api.put(&path, json!({field: before[field]})).await.json(200);
    }
    assert_eq!(config().await, before, "put back");
    for value in [true, false] {
        api.put(&path, json!({"credentials_updated_by_user": value})).await.json(200);
    }

    let shortest = usize::try_from(before["min_encryption_key_length"].as_u64().unwrap()).unwrap();
    let key = "k".repeat(shortest.saturating_sub(1));
    for path in [path.clone(), format!("/v1{path}/disaster-recovery/prepare")] {
        let method = if path.starts_with("/v1") { reqwest::Method::POST } else { reqwest::Method::PUT };
        let call = api.call(method, &path).json(&json!({"encryption_key": key}));
        let said = call.send().await.error(422, "EncryptionKeyTooShort");
        assert!(said.contains("encryption_key") && said.contains(&shortest.to_string()), "{said}");
    }
    for field in ["min_backup_count", "retention_time"] {
        let refused = api.put(&path, json!({field: -1})).await;
        let said = refused.json(422)["description"].to_string();
        assert!(said.contains(field) && said.contains('0'), "names field and bound: {said}");
    }
    for body in [Value::Null, json!({})] {
        let call = api.call(reqwest::Method::PUT, &path);
        let call = if body.is_null() { call } else { call.json(&body) };
        call.send().await.json(422);
    }
    for (field, wrong) in [
        ("encryption_key", json!(["a list of texts"])),
        ("exclude_from_auto_backup", json!("perhaps")),
        ("min_backup_count", json!(1.5)),
        ("retention_time", json!({"days": 7})),
        ("no_such_field", json!(1)),
    ] {
        let said = api.put(&path, json!({field: wrong})).await.error(400, "BadRequest");
        assert!(said.contains(field), "{said}");
    }
    assert_eq!(config().await, before, "what was refused has changed nothing");
    let answer = api.get(&path).await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("encryption_key"), "no key is ever returned");
}
