//! Rehearsals, field by field.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, assert_fields, assert_time, error, json as read};

#[tokio::test]
async fn a_requested_rehearsal_is_recorded_once_and_shown() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 2).unwrap();
    let path = format!("/instances/g-1/backups/{}/rehearse", backup.id);
    let made = read(app.post(&path, json!({})).await, 202).await;
    assert_fields(&made, &["id"]);
    assert_eq!(read(app.post(&path, json!({})).await, 202).await, made, "the one that is on its way");
    let list = read(app.get("/instances/g-1/rehearsals").await, 200).await;
    let shown = read(app.get(&format!("/v1/instances/g-1/rehearsals/{}", made["id"])).await, 200).await;
    assert_eq!(list, json!([shown]));
    assert_fields(
        &shown,
        &[
            "id",
            "backup_id",
            "status",
            "scheduled",
            "triggered_at",
            "started_at",
            "finished_at",
            "reason_code",
            "msg",
            "bytes_processed",
            "total_bytes_estimate",
            "duration_ms",
            "restore_ms",
            "checks",
        ],
    );
    assert_eq!((shown["backup_id"].as_i64(), &shown["status"]), (Some(backup.id), &json!("queued")));
    assert_time(&shown["triggered_at"]);
    let audit = "SELECT action || ' ' || subject FROM audit_events";
    let said = format!("request_rehearsal rehearsal {} of backup {}", made["id"], backup.id);
    assert_eq!(app.database.value(audit).unwrap().unwrap(), said);
    let deletion = app.request(Method::DELETE, &format!("/instances/g-1/backups/{}", backup.id));
    error(deletion.send().await.unwrap(), 423, "Locked").await;
    let cancel = format!("/instances/g-1/rehearsals/{}/cancel", made["id"]);
    read(app.post(&cancel, json!({})).await, 202).await;
    let wished = "SELECT count(cancel_requested_at) FROM rehearsals";
    assert_eq!(app.database.value(wished).unwrap().unwrap(), "1");
}

#[tokio::test]
async fn what_cannot_be_rehearsed_is_refused_with_its_reason() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    error(app.post("/instances/g-1/backups/999/rehearse", json!({})).await, 404, "NotFound").await;
    error(app.post("/instances/g-9/backups/1/rehearse", json!({})).await, 404, "NotFound").await;
    error(app.get("/instances/g-1/rehearsals/999").await, 404, "NotFound").await;
    for status in ["queued", "failed", "deleted"] {
        let backup = app.database.seed_backup(&instance, status, 1).unwrap();
        let path = format!("/instances/g-1/backups/{}/rehearse", backup.id);
        error(app.post(&path, json!({})).await, 422, "BackupNonRestorableState").await;
    }
}

#[tokio::test]
async fn what_rehearsals_say_is_shown_with_the_backup_and_as_a_metric() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 2).unwrap();
    let path = format!("/instances/g-1/backups/{}", backup.id);
    let never = read(app.get(&path).await, 200).await;
    assert_eq!((&never["verification"], &never["last_verified_at"]), (&Value::Null, &Value::Null));
    let sql =
        format!("INSERT INTO verifications VALUES ({}, 'failed', '2026-11-22T10:00:00Z', 4000)", backup.id);
    app.database.execute(&sql).unwrap();
    let shown = read(app.get(&path).await, 200).await;
    assert_eq!(shown["verification"], json!({"verdict": "failed", "restore_ms": 4000}));
    assert_eq!(shown["last_verified_at"], "2026-11-22T10:00:00.000Z");
    let metrics = app.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("\nbackup_manager_backups_not_restorable 1\n"), "{metrics}");
    assert!(
        metrics.contains("backup_manager_operations{kind=\"rehearsal\",status=\"queued\"} 0"),
        "{metrics}"
    );
}
