//! Spec 2.2, field by field.

use serde_json::json;

use crate::app::{App, assert_fields, assert_time, error, json as read};

#[tokio::test]
async fn a_requested_restore_is_recorded_and_shown() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 2).unwrap();
    let made =
        read(app.post(&format!("/instances/g-1/backups/{}/restore", backup.id), json!({})).await, 202).await;
    assert_fields(&made, &["id"]);
    let list = read(app.get("/instances/g-1/restores").await, 200).await;
    let shown = read(app.get(&format!("/instances/g-1/restores/{}", made["id"])).await, 200).await;
    assert_eq!(list, json!([shown]));
    assert_fields(
        &shown,
        &[
            "id",
            "backup_id",
            "status",
            "triggered_at",
            "started_at",
            "finished_at",
            "metadata",
            "reason_code",
            "msg",
            "bytes_processed",
            "total_bytes_estimate",
        ],
    );
    assert_eq!(shown["backup_id"].as_i64(), Some(backup.id), "the number, not the name");
    assert_eq!(shown["status"], "queued");
    assert_time(&shown["triggered_at"]);
    assert_time(&shown["metadata"]["restored_from"]);
    let backup = read(app.get(&format!("/instances/g-1/backups/{}", backup.id)).await, 200).await;
    assert_eq!(shown["metadata"]["restored_from"], backup["started_at"]);
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_with_its_reason() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    error(app.post("/instances/g-1/backups/999/restore", json!({})).await, 404, "NotFound").await;
    error(app.post("/instances/g-9/backups/1/restore", json!({})).await, 404, "NotFound").await;
    for status in ["queued", "failed", "deleted"] {
        let backup = app.database.seed_backup(&instance, status, 1).unwrap();
        let answer = app.post(&format!("/instances/g-1/backups/{}/restore", backup.id), json!({})).await;
        error(answer, 422, "BackupNonRestorableState").await;
    }
    let done = app.database.seed_backup(&instance, "done", 1).unwrap();
    let path = format!("/instances/g-1/backups/{}/restore", done.id);
    read(app.post(&path, json!({})).await, 202).await;
    error(app.post(&path, json!({})).await, 409, "RestoreInProgress").await;
    error(app.get("/instances/g-1/restores/999").await, 404, "NotFound").await;
}

#[tokio::test]
async fn an_unknown_field_starts_no_restore_and_is_named() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap().id;
    for path in ["/instances", "/v1/instances"].map(|base| format!("{base}/g-1/backups/{backup}/restore")) {
        let refused = app.post(&path, json!({"source_instance": "other"})).await;
        let said = error(refused, 400, "BadRequest").await;
        assert_eq!(
            said,
            "The field source_instance is unknown; allowed: source_instance_id, recovery_target_time."
        );
        error(app.post_form(&path, "source=other").await, 400, "BadRequest").await;
    }
    let body = json!({"backup_id": backup, "instance_id": instance.id, "source_instance_id": "g-1"});
    let said = error(app.post("/backup_agent/restores", body).await, 400, "BadRequest").await;
    assert_eq!(said, "The field source_instance_id is unknown; allowed: backup_id, instance_id.");
    assert_eq!(app.database.value("SELECT count(*) FROM restores").unwrap().unwrap(), "0");
    let request = app.request(reqwest::Method::POST, &format!("/instances/g-1/backups/{backup}/restore"));
    read(request.send().await.unwrap(), 202).await;
}

#[tokio::test]
async fn a_backup_of_another_instance_is_restored_when_it_is_named() {
    let app = App::start().await;
    let source = app.instance("source");
    app.instance("target");
    let backup = app.database.seed_backup(&source, "done", 1).unwrap();
    app.database
        .execute("UPDATE service_instances SET state = 'deleted', deleted_at = now() WHERE guid = 'source'")
        .unwrap();
    let path = format!("/instances/target/backups/{}/restore", backup.id);
    error(app.post(&path, json!({})).await, 404, "NotFound").await;
    let made = read(app.post(&path, json!({"source_instance_id": "source"})).await, 202).await;
    let shown = read(app.get(&format!("/instances/target/restores/{}", made["id"])).await, 200).await;
    assert_eq!(shown["backup_id"].as_i64(), Some(backup.id));
    app.database
        .execute("UPDATE service_instances SET data_service = 'mariadb' WHERE guid = 'source'")
        .unwrap();
    app.instance("third");
    let path = format!("/instances/third/backups/{}/restore", backup.id);
    error(app.post(&path, json!({"source_instance_id": "source"})).await, 422, "DataServiceMismatch").await;
}

#[tokio::test]
async fn a_restore_can_be_cancelled_while_it_is_unfinished() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 2).unwrap();
    let made =
        read(app.post(&format!("/instances/g-1/backups/{}/restore", backup.id), json!({})).await, 202).await;
    read(app.post(&format!("/instances/g-1/restores/{}/cancel", made["id"]), json!({})).await, 202).await;
    error(app.post("/instances/g-1/restores/999/cancel", json!({})).await, 404, "NotFound").await;
}
