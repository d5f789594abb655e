//! Restores to a moment: the window, what is inside it, and what is not.

use backup_testkit::SeededBackup;
use serde_json::json;

use crate::app::{App, assert_fields, error, json as read};

/// Says what an agent would have said.
fn window(app: &App, backup: &SeededBackup, start: &str, end: &str, state: &str) {
    let sql = format!(
        "INSERT INTO pitr_windows (backup_row_id, start_at, end_at, last_segment, state) \
         VALUES ({}, '{start}', '{end}', 'segment-{}', '{state}')",
        backup.id, backup.id
    );
    app.database.execute(&sql).unwrap();
}

#[tokio::test]
async fn the_window_is_that_of_the_bases_that_follow_each_other_without_a_gap() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let path = "/v1/instances/g-1/pitr";
    let said = error(app.get(path).await, 404, "NotFound").await;
    assert!(said.contains("none of its backups has a window"), "{said}");
    error(app.get("/v1/instances/g-9/pitr").await, 404, "NotFound").await;
    let [lost, first, second, failed] = ["done", "done", "done", "failed"]
        .map(|status| app.database.seed_backup(&instance, status, 1).unwrap());
    window(&app, &lost, "2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z", "broken");
    window(&app, &first, "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "continued");
    window(&app, &second, "2026-01-03T00:00:00Z", "2026-01-03T12:30:00.250Z", "open");
    window(&app, &failed, "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z", "open");
    let shown = read(app.get(path).await, 200).await;
    assert_fields(&shown, &["start_time", "end_time", "is_growing", "reason"]);
    assert_eq!(shown["start_time"], "2026-01-02T00:00:00.000Z");
    assert_eq!(shown["end_time"], "2026-01-03T12:30:00.250Z");
    assert_eq!(shown["is_growing"], true);
    let broken = async |count: &str| {
        let text = app.get("/metrics").await.text().await.unwrap();
        assert!(text.lines().any(|line| line == "backup_manager_pitr_instances 1"), "{text}");
        let line = format!("backup_manager_pitr_broken_instances {count}");
        assert!(text.lines().any(|found| found == line), "{text}");
    };
    app.database.execute("UPDATE service_instances SET backup_type = 'postgresql_wal'").unwrap();
    broken("1").await;
    app.database.execute("UPDATE pitr_windows SET end_at = now() WHERE state = 'open'").unwrap();
    broken("0").await;
}

#[tokio::test]
async fn a_moment_is_restored_from_the_base_that_serves_it_and_no_other_moment_is() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let [first, second] =
        ["done", "done"].map(|status| app.database.seed_backup(&instance, status, 1).unwrap());
    window(&app, &first, "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "continued");
    window(&app, &second, "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z", "open");
    let to = |moment: &str| json!({"recovery_target_time": moment});
    let path = "/v1/instances/g-1/restores";
    error(app.post(path, json!({})).await, 400, "BadRequest").await;
    error(app.post(path, to("yesterday")).await, 400, "BadRequest").await;
    for moment in ["2026-01-01T23:59:59.999Z", "2026-01-04T00:00:00.001Z"] {
        let said = error(app.post(path, to(moment)).await, 422, "InvalidValue").await;
        assert!(said.contains("2026-01-02T00:00:00.000Z to 2026-01-04T00:00:00.000Z"), "{said}");
    }
    let made = read(app.post(path, to("2026-01-02T13:00:00+01:00")).await, 202).await;
    let shown = read(app.get(&format!("{path}/{}", made["id"])).await, 200).await;
    assert_eq!(shown["backup_id"].as_i64(), Some(first.id));
    let target = "SELECT moment = '2026-01-02T12:00:00Z' AND last_segment = 'segment-' || backup_row_id \
                  FROM recovery_targets JOIN restores ON id = restore_row_id";
    assert_eq!(app.database.value(target).unwrap().unwrap(), "true");
    error(app.post(path, to("2026-01-03T12:00:00Z")).await, 409, "RestoreInProgress").await;
    // With a backup in the path, it is that one or none.
    app.instance("g-2");
    let of = |backup: &SeededBackup| format!("/instances/g-2/backups/{}/restore", backup.id);
    let mut body = to("2026-01-03T12:00:00Z");
    body["source_instance_id"] = json!("g-1");
    error(app.post(&of(&first), body.clone()).await, 422, "InvalidValue").await;
    read(app.post(&of(&second), body).await, 202).await;
}

#[tokio::test]
async fn the_backup_type_is_configured_and_taken_away_again() {
    let app = App::start().await;
    app.instance("g-1");
    let config = async || read(app.get("/instances/g-1/config").await, 200).await["backup_type"].clone();
    let said =
        error(app.put("/instances/g-1", json!({"backup_type": "tape"})).await, 422, "InvalidValue").await;
    assert!(said.contains("postgresql_wal"), "{said}");
    read(app.put("/instances/g-1", json!({"backup_type": "postgresql_wal"})).await, 200).await;
    assert_eq!(config().await, "postgresql_wal");
    read(app.put("/instances/g-1", json!({"retention_time": 3})).await, 200).await;
    assert_eq!(config().await, "postgresql_wal");
    read(app.put("/instances/g-1", json!({"backup_type": null})).await, 200).await;
    assert_eq!(config().await, json!(null));
}
