//! Section 2.2.

use serde_json::{Value, json};

use crate::shapes::{Kind, RESTORE, check as shape, check_all, check_newest_first};
use crate::skip;
use crate::target::Target;

pub(crate) async fn check(target: Target) {
    let (api, instance) = (&target.api, format!("/instances/{}", target.instance));
    let backup = api.done_backup(&target.instance).await;
    let path = format!("{instance}/backups/{}", backup["id"]);

    let begun = api.post(&format!("{path}/restore")).send().await.json(202);
    shape(&begun, &[("id", Kind::Int)]);
    let shown = format!("{instance}/restores/{}", begun["id"]);
    // The restore lasts long enough for these three.
    let again = api.post(&format!("{path}/restore")).json(&json!({})).send().await;
    let deletion = api.delete(&path).await;
    let meanwhile = api.get(&shown).await.json(200);
    shape(&meanwhile, RESTORE);
    assert!(
        ["queued", "running"].iter().any(|status| meanwhile["status"] == *status),
        "too quick: {meanwhile}"
    );
    again.error(409, "RestoreInProgress");
    deletion.error(423, "Locked");

    let ended = api.ended(&shown).await;
    assert_eq!(ended["status"], "done", "{ended}");
    describes(&ended, &backup);
    for field in ["started_at", "finished_at"] {
        assert!(ended[field].is_string(), "{field}: {ended}");
    }
    let second = api.post(&format!("{path}/restore")).send().await.json(202)["id"].clone();
    let listed = api.get(&format!("{instance}/restores")).await.json(200);
    let listed = check_all(&listed, RESTORE);
    check_newest_first(listed);
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&second, &begun["id"]));
    api.ended(&format!("{instance}/restores/{second}")).await;

    let unknown = json!({"source_instance_id": "00000000-0000-0000-0000-000000000000"});
    api.post(&format!("{path}/restore")).json(&unknown).send().await.error(404, "NotFound");
    into_another_instance(&target, &backup).await;
    from_a_deleted_instance(&target).await;
    api.delete(&path).await.json(200);
}

/// The restore names the backup by number, and the time it was taken.
fn describes(restore: &Value, backup: &Value) {
    shape(restore, RESTORE);
    assert_eq!(restore["backup_id"], backup["id"], "{restore}");
    let taken = restore["metadata"]["restored_from"].as_str();
    let (triggered, finished) = (backup["triggered_at"].as_str(), backup["finished_at"].as_str());
    assert!(triggered <= taken && taken <= finished, "{restore} of {backup}");
}

async fn into_another_instance(target: &Target, backup: &Value) {
    let Some(second) = &target.second else {
        return skip("a restore into another instance", "BACKUP_MANAGER_SECOND_INSTANCE");
    };
    let api = &target.api;
    let path = format!("/instances/{second}/backups/{}/restore", backup["id"]);
    api.post(&path).send().await.error(404, "NotFound");
    let body = json!({"source_instance_id": target.instance});
    let id = api.post(&path).json(&body).send().await.json(202)["id"].clone();
    let ended = api.ended(&format!("/instances/{second}/restores/{id}")).await;
    assert_eq!(ended["status"], "done", "{ended}");
    describes(&ended, backup);
    api.get(&format!("/instances/{}/restores/{id}", target.instance)).await.error(404, "NotFound");
}

/// Its backups are marked as deleted: undelete one, and it can be restored elsewhere.
async fn from_a_deleted_instance(target: &Target) {
    let Some(deleted) = &target.deleted else {
        return skip("undelete, and a restore from a deleted instance", "BACKUP_MANAGER_DELETED_INSTANCE");
    };
    let api = &target.api;
    let backups = api.get(&format!("/instances/{deleted}/backups")).await.json(200);
    let marked = backups.as_array().unwrap().iter().find(|backup| backup["status"] == "deleted");
    let Some(marked) = marked else {
        return skip(
            "undelete, and a restore from a deleted instance",
            "a backup there that is marked as deleted",
        );
    };
    let path = format!("/instances/{deleted}/backups/{}", marked["id"]);
    let into = format!("/instances/{}/backups/{}/restore", target.instance, marked["id"]);
    let body = json!({"source_instance_id": deleted});
    api.post(&into).json(&body).send().await.error(422, "BackupNonRestorableState");
    assert_eq!(api.post(&format!("{path}/undelete")).send().await.status, 200);
    assert_eq!(api.get(&path).await.json(200)["status"], "done");
    assert_eq!(api.post(&format!("{path}/undelete")).send().await.status, 409, "once is enough");
    let id = api.post(&into).json(&body).send().await.json(202)["id"].clone();
    let ended = api.ended(&format!("/instances/{}/restores/{id}", target.instance)).await;
    assert_eq!((&ended["status"], &ended["backup_id"]), (&json!("done"), &marked["id"]), "{ended}");
}
