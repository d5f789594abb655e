//! Spec 2.5: versions 1 and 0 of the public API.

use serde_json::json;

use crate::app::{App, error, json as read};

#[tokio::test]
async fn version_1_has_the_same_resources() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let made = read(app.post("/v1/instances/g-1/backups", json!({})).await, 201).await;
    let shown = read(app.get(&format!("/v1/instances/g-1/backups/{}", made["id"])).await, 200).await;
    assert_eq!(shown, read(app.get(&format!("/instances/g-1/backups/{}", made["id"])).await, 200).await);
    let done = app.database.seed_backup(&instance, "done", 1).unwrap();
    let restore =
        read(app.post(&format!("/v1/instances/g-1/backups/{}/restore", done.id), json!({})).await, 202).await;
    read(app.get(&format!("/v1/instances/g-1/restores/{}", restore["id"])).await, 200).await;
    assert_eq!(read(app.get("/v1/instances/g-1/backups").await, 200).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn disaster_recovery_tells_the_backup_guid_and_takes_a_key() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let path = "/v1/instances/g-1/disaster-recovery/prepare";
    let expected = json!({"backup_guid": instance.backup_guid});
    assert_eq!(read(app.post(path, json!({})).await, 200).await, expected);
    assert_eq!(read(app.post(path, json!({"encryption_key": "a good long key"})).await, 200).await, expected);
    error(app.post(path, json!({"encryption_key": "short"})).await, 422, "EncryptionKeyTooShort").await;
    let misspelt =
        error(app.post(path, json!({"encription_key": "another long key"})).await, 400, "BadRequest").await;
    assert_eq!(misspelt, "The field encription_key is unknown; allowed: encryption_key.");
    let own = "SELECT count(*) FROM encryption_keys WHERE is_own AND is_current";
    assert_eq!(app.database.value(own).unwrap().unwrap(), "1");
}

#[tokio::test]
async fn version_0_still_answers() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    let shown = read(app.get("/service-instances/g-1/backups").await, 200).await;
    assert_eq!(shown["backups"].as_array().unwrap().len(), 1);
    read(app.post_form("/service-instances/g-1/backups", "").await, 201).await;
    let path = "/service-instances/g-1/backups/restore";
    let body = format!("instance_id=g-1&backup_id={}", backup.id);
    let made = read(app.post_form(path, &body).await, 200).await;
    assert!(made["restore_id"].is_i64());
    let other = app.instance("g-2");
    let body = format!("instance_id={}&backup_id={}", other.id, backup.id);
    read(app.post_form(path, &body).await, 200).await;
    assert_eq!(read(app.get("/instances/g-2/restores").await, 200).await.as_array().unwrap().len(), 1);
    error(app.post_form(path, "instance_id=g-1").await, 400, "BadRequest").await;
}
