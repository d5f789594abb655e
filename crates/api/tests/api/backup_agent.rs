//! The operator's first generation (spec 2.4), with JSON and with forms.

use serde_json::{Value, json};

use crate::app::{App, assert_fields, error, json as read};

#[tokio::test]
async fn a_backup_is_asked_for_in_both_forms() {
    let app = App::start().await;
    app.instance("g-1");
    let made = read(app.post("/backup_agent/backup", json!({"instance_guid": "g-1"})).await, 201).await;
    assert_fields(&made, &["id", "message"]);
    assert_eq!(made["message"], "job to backup is queued");
    let made = read(app.post_form("/backup_agent/backup", "instance_guid=g-1").await, 201).await;
    assert!(made["id"].is_i64());
    let request =
        app.request(reqwest::Method::POST, "/backup_agent/backup").body("{\"instance_guid\": \"g-1\"}");
    read(request.header("Content-Type", "application/x-www-form-urlencoded").send().await.unwrap(), 201)
        .await;
    assert_eq!(app.database.value("SELECT count(*) FROM backups").unwrap().unwrap(), "3");
    error(app.post_form("/backup_agent/backup", "instance_guid=g-2").await, 404, "NotFound").await;
}

#[tokio::test]
async fn backing_up_all_enqueues_one_job_however_often_it_is_asked_for() {
    let app = App::start().await;
    for _ in 0..3 {
        let answer = read(app.post("/backup_agent/backup_all", json!({})).await, 202).await;
        assert_fields(&answer, &["message"]);
    }
    let jobs = "SELECT count(*) FROM jobs WHERE queue = 'backup_all_job'";
    assert_eq!(app.database.value(jobs).unwrap().unwrap(), "1");
}

#[tokio::test]
async fn a_restore_is_asked_for_by_numbers_in_both_forms() {
    let app = App::start().await;
    for (guid, is_form) in [("g-1", false), ("g-2", true)] {
        let instance = app.instance(guid);
        let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
        let (backup, instance) = (backup.id, instance.id);
        let answer = match is_form {
            true => {
                app.post_form("/backup_agent/restores", &format!("backup_id={backup}&instance_id={instance}"))
                    .await
            }
            false => {
                app.post("/backup_agent/restores", json!({"backup_id": backup, "instance_id": instance}))
                    .await
            }
        };
        let made = read(answer, 201).await;
        assert_fields(&made, &["restore_id"]);
        let shown: Value =
            read(app.get(&format!("/instances/{guid}/restores/{}", made["restore_id"])).await, 200).await;
        assert_eq!(shown["backup_id"].as_i64(), Some(backup));
    }
    error(
        app.post("/backup_agent/restores", json!({"backup_id": 1, "instance_id": 999})).await,
        404,
        "NotFound",
    )
    .await;
}
