//! Section 2.1 but for the download.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shapes::{BACKUP, BEGUN, MESSAGE, check as shape, check_all, check_newest_first};
use crate::skip;
use crate::target::Target;

pub(crate) async fn check(target: Target) {
    a_backup_is_made_listed_shown_and_deleted(&target).await;
    the_same_idempotency_key_answers_the_same_backup(&target).await;
    a_cancelled_backup_ends_failed(&target).await;
    a_deleted_instance_is_gone(&target).await;
}

async fn a_backup_is_made_listed_shown_and_deleted(target: &Target) {
    let (api, base) = (&target.api, format!("/instances/{}/backups", target.instance));
    let made = api.post(&base).send().await.json(201);
    shape(&made, BEGUN);
    let second = api.post(&base).json(&json!({})).send().await.json(201);
    let path = format!("{base}/{}", made["id"]);

    let fresh = api.get(&path).await.json(200);
    shape(&fresh, BACKUP);
    assert_eq!(fresh["id"], made["id"]);
    if fresh["status"] == "queued" {
        assert_eq!(
            (&fresh["size"], &fresh["started_at"], &fresh["finished_at"]),
            (&json!(0), &Value::Null, &Value::Null)
        );
    }
    let listed = api.get(&base).await.json(200);
    let listed = check_all(&listed, BACKUP);
    check_newest_first(listed);
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&second["id"], &made["id"]));

    let done = api.ended(&path).await;
    shape(&done, BACKUP);
    assert_eq!(done["status"], "done", "the agent of {} has to work: {done}", target.instance);
    assert!(done["size"].as_i64() > Some(0) && done["checksum"].is_string(), "{done}");
    let time =
        |field: &str| done[field].as_str().unwrap_or_else(|| panic!("{field} is null in {done}")).to_owned();
    assert!(
        time("triggered_at") <= time("started_at") && time("started_at") <= time("finished_at"),
        "{done}"
    );
    named_after_the_instance(target, &done).await;
    let other = api.ended(&format!("{base}/{}", second["id"])).await;
    assert_ne!(done["backup_id"], other["backup_id"]);

    let head = api.call(Method::HEAD, &path).send().await;
    assert_eq!((head.status, head.body.len()), (200, 0), "{head}");
    for backup in [made, second] {
        let path = format!("{base}/{}", backup["id"]);
        shape(&api.delete(&path).await.json(200), MESSAGE);
        api.get(&path).await.error(404, "NotFound");
        api.delete(&path).await.error(404, "NotFound");
        api.post(&format!("{path}/undelete")).send().await.error(404, "NotFound");
    }
    skip("400 when the store refuses a deletion", "a broken store");
}

/// `<backup_guid of the instance>-<milliseconds since the epoch>`
async fn named_after_the_instance(target: &Target, backup: &Value) {
    let instance = target.api.get(&format!("/instances/{}", target.instance)).await.json(200);
    let name = backup["backup_id"].as_str().unwrap();
    let millis =
        name.strip_prefix(instance["backup_guid"].as_str().unwrap()).and_then(|rest| rest.strip_prefix('-'));
    let millis = millis.unwrap_or_else(|| panic!("{name} is not named after {instance}"));
    assert!(millis.len() == 13 && millis.bytes().all(|b| b.is_ascii_digit()), "{name}");
}

async fn the_same_idempotency_key_answers_the_same_backup(target: &Target) {
    let (api, base) = (&target.api, format!("/instances/{}/backups", target.instance));
    let newest = api.get(&base).await.json(200)[0]["backup_id"].clone();
    let key = format!("wire-{newest}-{}", std::process::id());
    let post = |base: &str, key: &str| api.post(base).header("Idempotency-Key", key).send();
    let first = post(&base, &key).await.json(201);
    let again = post(&base, &key).await.json(200);
    shape(&again, BEGUN);
    assert_eq!(again["id"], first["id"]);
    let other = post(&base, &format!("{key}-other")).await.json(201);
    assert_ne!(other["id"], first["id"]);
    if let Some(instance) = &target.second {
        let elsewhere = post(&format!("/instances/{instance}/backups"), &key).await.json(201);
        assert_ne!(elsewhere["id"], first["id"], "the key counts for one instance");
        cancel_and_delete(target, instance, &elsewhere["id"]).await;
    }
    cancel_and_delete(target, &target.instance, &other["id"]).await;
    cancel_and_delete(target, &target.instance, &first["id"]).await;
}

/// It may be done before it can be cancelled.
async fn cancel_and_delete(target: &Target, instance: &str, id: &Value) {
    let path = format!("/instances/{instance}/backups/{id}");
    let said = target.api.post(&format!("{path}/cancel")).send().await;
    assert!([202, 409].contains(&said.status), "{said}");
    target.api.ended(&path).await;
    target.api.delete(&path).await.json(200);
}

async fn a_cancelled_backup_ends_failed(target: &Target) {
    let (api, base) = (&target.api, format!("/instances/{}/backups", target.instance));
    let id = api.post(&base).send().await.json(201)["id"].clone();
    let path = format!("{base}/{id}");
    let said = api.post(&format!("{path}/cancel")).send().await;
    assert_eq!(said.status, 202, "{said}");
    let ended = api.ended(&path).await;
    assert_eq!((&ended["status"], &ended["reason_code"]), (&json!("failed"), &json!("cancelled")), "{ended}");
    assert_eq!(ended["downloadable"], false);
    let restore = api.post(&format!("{path}/restore")).send().await;
    restore.error(422, "BackupNonRestorableState");
    // What is over cannot be cancelled, and what was not deleted cannot be undeleted.
    assert_eq!(api.post(&format!("{path}/cancel")).send().await.status, 409);
    assert_eq!(api.post(&format!("{path}/undelete")).send().await.status, 409);
    api.delete(&path).await.json(200);
}

async fn a_deleted_instance_is_gone(target: &Target) {
    let Some(deleted) = &target.deleted else {
        return skip("410 of a deleted instance", "BACKUP_MANAGER_DELETED_INSTANCE");
    };
    let api = &target.api;
    for path in ["/instances/{}/backups", "/v1/instances/{}/backups", "/service-instances/{}/backups"] {
        api.post(&path.replace("{}", deleted)).send().await.error(410, "Gone");
    }
    api.post("/backup_agent/backup").json(&json!({"instance_guid": deleted})).send().await.error(410, "Gone");
    // What it has is still there to be seen.
    check_all(&api.get(&format!("/instances/{deleted}/backups")).await.json(200), BACKUP);
}
