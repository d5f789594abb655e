//! Section 2.5: the public API, V1 and V0.

use serde_json::{Value, json};

use crate::shapes::{BEGUN, INSTANCE, Kind, MESSAGE, check as shape};
use crate::target::Target;

pub(crate) async fn check(target: Target) {
    let backup = v1_has_the_same_resources(&target).await;
    disaster_recovery_tells_the_backup_guid(&target).await;
    v0_answers_as_it_always_did(&target, &backup).await;
    let path = format!("/v1/instances/{}/backups/{backup}", target.instance);
    shape(&target.api.delete(&path).await.json(200), MESSAGE);
    target.api.get(&path).await.error(404, "NotFound");
}

/// Returns the number of a done backup.
async fn v1_has_the_same_resources(target: &Target) -> Value {
    let (api, base) = (&target.api, format!("/instances/{}", target.instance));
    let begun = api.post(&format!("/v1{base}/backups")).send().await.json(201);
    shape(&begun, BEGUN);
    let backup = format!("{base}/backups/{}", begun["id"]);
    assert_eq!(api.ended(&format!("/v1{backup}")).await["status"], "done");
    let begun_restore = api.post(&format!("/v1{backup}/restore")).send().await.json(202);
    let restore = format!("{base}/restores/{}", begun_restore["id"]);
    assert_eq!(api.ended(&format!("/v1{restore}")).await["status"], "done");
    for path in [format!("{base}/backups"), format!("{base}/restores"), backup, restore] {
        let (v1, operators) = (api.get(&format!("/v1{path}")).await, api.get(&path).await);
        assert_eq!(v1.json(200), operators.json(200), "{path}");
    }
    begun["id"].clone()
}

async fn disaster_recovery_tells_the_backup_guid(target: &Target) {
    let api = &target.api;
    let path = format!("/v1/instances/{}/disaster-recovery/prepare", target.instance);
    let instance = api.get(&format!("/instances/{}", target.instance)).await.json(200);
    let expected = json!({"backup_guid": instance["backup_guid"]});
    for call in [
        api.post(&path),
        api.post(&path).json(&json!({})),
        api.post(&path).json(&json!({"encryption_key": "wire suite's other key"})),
    ] {
        let said = call.send().await.json(200);
        shape(&said, &[("backup_guid", Kind::Text)]);
        assert_eq!(said, expected);
    }
    // A misspelt key would leave the old one in force without a word.
    let misspelt = api.post(&path).json(&json!({"encription_key": "wire suite's other key"})).send().await;
    assert!(misspelt.error(400, "BadRequest").contains("encription_key"));
}

async fn v0_answers_as_it_always_did(target: &Target, backup: &Value) {
    let api = &target.api;
    let path = format!("/service-instances/{}/backups", target.instance);
    let instance = api.get(&path).await.json(200);
    shape(&instance, INSTANCE);
    assert_eq!(instance, api.get(&format!("/instances/{}", target.instance)).await.json(200));
    for call in [api.post(&path), api.post(&path).form("")] {
        let made = call.send().await.json(201);
        let made = format!("/instances/{}/backups/{}", target.instance, made["id"]);
        api.post(&format!("{made}/cancel")).send().await;
        api.ended(&made).await;
        api.delete(&made).await.json(200);
    }
    for name in [instance["id"].to_string(), target.instance.clone()] {
        let body = format!("instance_id={name}&backup_id={backup}");
        let answer = api.post(&format!("{path}/restore")).form(&body).send().await;
        answer.json(200);
        let newest = api.get(&format!("/instances/{}/restores", target.instance)).await.json(200)[0].clone();
        assert_eq!(newest["backup_id"], *backup, "{newest}");
        let ended = api.ended(&format!("/instances/{}/restores/{}", target.instance, newest["id"])).await;
        assert_eq!(ended["status"], "done", "{ended}");
    }
    api.post(&format!("{path}/restore")).form("instance_id=1").send().await.error(400, "BadRequest");
}
