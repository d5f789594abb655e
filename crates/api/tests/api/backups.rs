//! Spec 2.1, field by field.

use reqwest::Method;
use serde_json::json;

use crate::app::{App, assert_fields, assert_time, error, json as read};

#[tokio::test]
async fn a_requested_backup_is_recorded_with_its_job_and_shown() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let made = read(app.post("/instances/g-1/backups", json!({})).await, 201).await;
    assert_fields(&made, &["id", "message"]);
    let id = made["id"].as_i64().unwrap();
    let shown = read(app.get(&format!("/instances/g-1/backups/{id}")).await, 200).await;
    assert_fields(
        &shown,
        &[
            "id",
            "backup_id",
            "size",
            "status",
            "triggered_at",
            "started_at",
            "finished_at",
            "downloadable",
            "reason_code",
            "msg",
            "bytes_processed",
            "total_bytes_estimate",
            "checksum",
            "held",
            "last_verified_at",
            "verification",
        ],
    );
    assert_eq!((shown["id"].as_i64(), shown["size"].as_i64()), (Some(id), Some(0)));
    assert_eq!(shown["status"], "queued");
    assert_time(&shown["triggered_at"]);
    assert!(shown["started_at"].is_null() && shown["finished_at"].is_null());
    assert_eq!(shown["downloadable"], false);
    let name = shown["backup_id"].as_str().unwrap();
    let millis = name.strip_prefix(&format!("{}-", instance.backup_guid)).unwrap();
    assert_eq!(millis.len(), 13, "milliseconds since the epoch: {name}");
    let jobs = "SELECT count(*) FROM jobs WHERE queue = 'backup_agent_backups'";
    assert_eq!(app.database.value(jobs).unwrap().unwrap(), "1");
    let audit = "SELECT actor || ' ' || (request_id IS NOT NULL) FROM audit_events";
    assert_eq!(app.database.value(audit).unwrap().unwrap(), "admin true");
}

#[tokio::test]
async fn no_name_is_given_twice_when_the_clock_went_back() {
    let app = App::start().await;
    app.instance("g-1");
    let last = || app.database.value("SELECT last_name_millis FROM service_instances").unwrap().unwrap();
    let mut names = Vec::new();
    for _ in 0..3 {
        let made = read(app.post("/instances/g-1/backups", json!({})).await, 201).await;
        let shown = read(app.get(&format!("/instances/g-1/backups/{}", made["id"])).await, 200).await;
        let name = shown["backup_id"].as_str().unwrap().to_owned();
        assert!(name.ends_with(&format!("-{}", last())), "{name}");
        names.push(last().parse::<i64>().unwrap());
        // As if the clock had been a day ahead when it was named, and it had been removed since.
        app.database.execute("SET session_replication_role = replica; DELETE FROM backups").unwrap();
        app.database
            .execute("UPDATE service_instances SET last_name_millis = last_name_millis + 86400000")
            .unwrap();
    }
    assert_eq!([names[1] - names[0], names[2] - names[1]], [86_400_001; 2]);
}

#[tokio::test]
async fn a_failed_removal_is_visible_and_its_reason_is_not() {
    let app = App::start().await;
    let backup = app.database.seed_backup(&app.instance("g-1"), "deleted", 1).unwrap();
    app.database.execute("UPDATE backups SET removal_error = 'no rights on /srv/secret'").unwrap();
    let shown = read(app.get(&format!("/instances/g-1/backups/{}", backup.id)).await, 200).await;
    assert_eq!(shown["msg"], "Its data could not be removed from the store; it will be tried again.");
}

#[tokio::test]
async fn a_done_backup_shows_what_is_known_of_it_and_the_list_is_newest_first() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let old = app.database.seed_backup(&instance, "done", 3).unwrap();
    let failed = app.database.seed_backup(&instance, "failed", 2).unwrap();
    let marked = app.database.seed_backup(&instance, "deleted", 1).unwrap();
    app.database.seed_backup(&app.instance("g-2"), "done", 0).unwrap();
    let list = read(app.get("/instances/g-1/backups").await, 200).await;
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|backup| backup["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [marked.id, failed.id, old.id]);
    let done = read(app.get(&format!("/instances/g-1/backups/{}", old.id)).await, 200).await;
    assert_eq!(done, list[2]);
    assert_eq!((done["status"].as_str(), done["size"].as_i64()), (Some("done"), Some(1000)));
    assert_eq!(done["checksum"].as_str().unwrap().len(), 64);
    assert_time(&done["started_at"]);
    assert_time(&done["finished_at"]);
    assert_eq!(list[1]["reason_code"], "data_service_error");
    assert_eq!(list[0]["status"], "deleted");
    app.own_key(&instance);
    let list = read(app.get("/instances/g-1/backups").await, 200).await;
    let downloadable: Vec<_> =
        list.as_array().unwrap().iter().map(|backup| backup["downloadable"].as_bool()).collect();
    assert_eq!(downloadable, [Some(false), Some(false), Some(true)]);
}

#[tokio::test]
async fn an_unknown_or_deleted_instance_cannot_be_backed_up() {
    let app = App::start().await;
    let said = error(app.post("/instances/g-1/backups", json!({})).await, 404, "NotFound").await;
    assert_eq!(said, "The instance g-1 was not found.");
    error(app.get("/instances/g-1/backups").await, 404, "NotFound").await;
    let instance = app.instance("g-1");
    app.database.seed_backup(&instance, "done", 1).unwrap();
    app.database.execute("UPDATE service_instances SET state = 'deleted', deleted_at = now()").unwrap();
    error(app.post("/instances/g-1/backups", json!({})).await, 410, "Gone").await;
    assert_eq!(read(app.get("/instances/g-1/backups").await, 200).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_idempotency_key_gets_the_same_backup_for_24_hours() {
    let app = App::start().await;
    app.instance("g-1");
    app.instance("g-2");
    let create = async |guid: &str, key: &str, status: u16| {
        let request =
            app.request(Method::POST, &format!("/instances/{guid}/backups")).header("Idempotency-Key", key);
        read(request.send().await.unwrap(), status).await["id"].as_i64().unwrap()
    };
    let first = create("g-1", "k", 201).await;
    assert_eq!(create("g-1", "k", 200).await, first);
    assert_ne!(create("g-1", "other", 201).await, first);
    assert_ne!(create("g-2", "k", 201).await, first);
    app.database.advance(std::time::Duration::from_secs(25 * 3600)).unwrap();
    assert_ne!(create("g-1", "k", 201).await, first);
    let many = futures_util::future::join_all((0..8).map(async |_| {
        let request = app.request(Method::POST, "/instances/g-2/backups").header("Idempotency-Key", "race");
        request.send().await.unwrap().json::<serde_json::Value>().await.unwrap()["id"].clone()
    }));
    let ids = many.await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_deleted_backup_is_gone_from_the_store_and_from_the_list() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    let folder = app.store_parts(&instance, &backup, &[&[1; 600], &[2; 400]]);
    let path = format!("/instances/g-1/backups/{}", backup.id);
    let answer = read(app.request(Method::DELETE, &path).send().await.unwrap(), 200).await;
    assert_fields(&answer, &["message"]);
    assert!(!folder.exists());
    error(app.get(&path).await, 404, "NotFound").await;
    error(app.request(Method::DELETE, &path).send().await.unwrap(), 404, "NotFound").await;
}

#[tokio::test]
async fn a_backup_in_use_or_in_progress_is_not_deleted() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let queued = app.database.seed_backup(&instance, "queued", 0).unwrap();
    let done = app.database.seed_backup(&instance, "done", 1).unwrap();
    let path = format!("/instances/g-1/backups/{}", done.id);
    read(app.post(&format!("{path}/restore"), json!({})).await, 202).await;
    error(app.request(Method::DELETE, &path).send().await.unwrap(), 423, "Locked").await;
    let path = format!("/instances/g-1/backups/{}", queued.id);
    error(app.request(Method::DELETE, &path).send().await.unwrap(), 409, "BackupInProgress").await;
    assert_eq!(app.database.value("SELECT count(*) FROM backups").unwrap().unwrap(), "2");
}

#[tokio::test]
async fn cancelling_records_a_wish_and_only_for_what_is_unfinished() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let made = read(app.post("/instances/g-1/backups", json!({})).await, 201).await;
    let path = format!("/instances/g-1/backups/{}/cancel", made["id"]);
    read(app.post(&path, json!({})).await, 202).await;
    let wish = "SELECT count(*) FROM backups WHERE cancel_requested_at IS NOT NULL";
    assert_eq!(app.database.value(wish).unwrap().unwrap(), "1");
    let done = app.database.seed_backup(&instance, "done", 1).unwrap();
    error(
        app.post(&format!("/instances/g-1/backups/{}/cancel", done.id), json!({})).await,
        409,
        "NotCancellable",
    )
    .await;
    error(app.post("/instances/g-1/backups/999/cancel", json!({})).await, 404, "NotFound").await;
}

#[tokio::test]
async fn a_marked_backup_can_be_undeleted_and_others_cannot() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let marked = app.database.seed_backup(&instance, "deleted", 1).unwrap();
    let done = app.database.seed_backup(&instance, "done", 1).unwrap();
    read(app.post(&format!("/instances/g-1/backups/{}/undelete", marked.id), json!({})).await, 200).await;
    let shown = read(app.get(&format!("/instances/g-1/backups/{}", marked.id)).await, 200).await;
    assert_eq!(shown["status"], "done");
    error(
        app.post(&format!("/instances/g-1/backups/{}/undelete", done.id), json!({})).await,
        409,
        "NotUndeletable",
    )
    .await;
}
