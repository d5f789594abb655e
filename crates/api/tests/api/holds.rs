//! Holds, and the operator's word on what clients may delete.

use backup_core::Policy;
use backup_testkit::SeededBackup;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, assert_fields, assert_time, error, http, json as read};

async fn as_user(app: &App, name: &str, method: Method, path: &str, body: Value) -> Response {
    app.anonymous(method, path).basic_auth(name, Some(PASSWORD)).json(&body).send().await.unwrap()
}

async fn put(app: &App, path: &str, body: Value) -> Response {
    as_user(app, "admin", Method::PUT, &format!("{path}/hold"), body).await
}

async fn delete(app: &App, path: &str) -> Response {
    app.request(Method::DELETE, path).send().await.unwrap()
}

fn path(guid: &str, backup: &SeededBackup) -> String {
    format!("/instances/{guid}/backups/{}", backup.id)
}

#[tokio::test]
async fn a_held_backup_shows_its_hold_and_cannot_be_deleted_before_it_is_released() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 90).unwrap();
    app.store_parts(&instance, &backup, &[&[1; 1000]]);
    let path = path("g-1", &backup);
    assert!(read(app.get(&path).await, 200).await["held"].is_null());
    let body = json!({"reason": "case 7", "until": "2126-03-01T02:00:00+02:00"});
    let hold = read(put(&app, &path, body.clone()).await, 200).await;
    assert_fields(&hold, &["reason", "until", "by", "at"]);
    assert_eq!((&hold["reason"], &hold["by"]), (&json!("case 7"), &json!("admin")));
    assert_eq!(hold["until"], "2126-03-01T00:00:00.000Z");
    assert_time(&hold["at"]);
    assert_eq!(read(app.get(&path).await, 200).await["held"], hold);
    assert_eq!(read(app.get("/v1/instances/g-1/backups").await, 200).await[0]["held"], hold);
    let said = error(delete(&app, &path).await, 423, "Locked").await;
    assert_eq!(
        said,
        format!("The backup {} is held: case 7 (by admin, until 2126-03-01 00:00 UTC).", backup.id)
    );
    let planned = read(app.get("/v2/retention?instance_id=g-1").await, 200).await;
    assert_eq!(planned[0]["action"], "keep");
    assert_eq!(planned[0]["reason"], "held: case 7 (by admin, until 2126-03-01 00:00 UTC)");

    // Saying it again changes nothing; saying something else replaces it.
    assert_eq!(read(put(&app, &path, body).await, 200).await, hold);
    let longer = read(put(&app, &path, json!({"reason": "case 8"})).await, 200).await;
    assert!(longer["until"].is_null());
    let released = read(delete(&app, &format!("{path}/hold")).await, 200).await;
    assert_eq!(released["message"], "hold released");
    let again = read(delete(&app, &format!("{path}/hold")).await, 200).await;
    assert_eq!(again["message"], "the backup was not held");
    read(delete(&app, &path).await, 200).await;
    let events = "SELECT string_agg(action || ' ' || actor || ' ' || subject, '|' ORDER BY id) FROM audit_events WHERE action LIKE '%e_backup' AND action <> 'delete_backup' OR action LIKE 'hold%'";
    let id = backup.id;
    assert_eq!(
        app.database.value(events).unwrap().unwrap(),
        format!(
            "hold_backup admin backup {id}: case 7 (by admin, until 2126-03-01 00:00 UTC)\
             |hold_backup admin backup {id}: case 8 (by admin)\
             |release_backup admin backup {id}: it was held: case 8 (by admin)\
             |remove_backup admin backup {id}: its removal was requested"
        )
    );
}

#[tokio::test]
async fn a_hold_needs_a_reason_a_future_and_a_good_backup() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let done = path("g-1", &app.database.seed_backup(&instance, "done", 1).unwrap());
    error(put(&app, &done, json!({})).await, 400, "BadRequest").await;
    error(
        put(&app, &done, json!({"reason": "r", "untill": "2126-03-01T00:00:00Z"})).await,
        400,
        "BadRequest",
    )
    .await;
    error(put(&app, &done, json!({"reason": "r", "until": "tomorrow"})).await, 400, "BadRequest").await;
    for reason in ["", " ", "two\nlines", &"x".repeat(501)] {
        error(put(&app, &done, json!({"reason": reason})).await, 422, "InvalidValue").await;
    }
    error(
        put(&app, &done, json!({"reason": "r", "until": "2020-03-01T00:00:00Z"})).await,
        422,
        "InvalidValue",
    )
    .await;
    for status in ["queued", "running", "failed"] {
        let other = path("g-1", &app.database.seed_backup(&instance, status, 1).unwrap());
        error(put(&app, &other, json!({"reason": "r"})).await, 409, "NotHoldable").await;
    }
    error(put(&app, "/instances/g-1/backups/999", json!({"reason": "r"})).await, 404, "NotFound").await;
    assert_eq!(app.database.value("SELECT count(*) FROM holds").unwrap().unwrap(), "0");
    let form = app
        .request(Method::PUT, &format!("{done}/hold"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("reason=as+a+form");
    assert_eq!(read(form.send().await.unwrap(), 200).await["reason"], "as a form");
}

#[tokio::test]
async fn owners_hold_their_own_backups_and_leave_the_operators_holds_alone() {
    let app = App::start().await;
    let backup = app.database.seed_backup(&app.instance("g-own"), "done", 1).unwrap();
    let hold = format!("/v1/instances/g-own/backups/{}/hold", backup.id);
    let body = json!({"reason": "before the migration"});
    read(as_user(&app, "ann", Method::PUT, &hold, body.clone()).await, 200).await;
    error(as_user(&app, "bob", Method::DELETE, &hold, json!({})).await, 404, "NotFound").await;
    // An operator takes it over.
    read(as_user(&app, "admin", Method::PUT, &hold, body.clone()).await, 200).await;
    for method in [Method::PUT, Method::DELETE] {
        let said = error(as_user(&app, "ann", method, &hold, body.clone()).await, 403, "Forbidden").await;
        assert!(said.contains("held by an operator"), "{said}");
    }
    read(as_user(&app, "admin", Method::DELETE, &hold, json!({})).await, 200).await;
    read(as_user(&app, "ann", Method::PUT, &hold, body).await, 200).await;
    read(as_user(&app, "ann", Method::DELETE, &hold, json!({})).await, 200).await;
}

#[tokio::test]
async fn where_the_operator_wants_it_so_clients_cannot_delete_the_newest_good_backups() {
    for is_allowed in [true, false] {
        let policy = Policy {
            min_backup_count: 2,
            allow_client_deletion_below_minimum: is_allowed,
            ..Policy::default()
        };
        let app = App::with(policy, http()).await;
        let instance = app.instance("g-1");
        let seed = |status: &str, age| app.database.seed_backup(&instance, status, age).unwrap();
        let (old, newer, newest, failed) =
            (seed("done", 3), seed("done", 2), seed("done", 1), seed("failed", 0));
        // Neither what is older than those nor what is not good is protected, however young.
        read(delete(&app, &path("g-1", &failed)).await, 200).await;
        read(delete(&app, &path("g-1", &old)).await, 200).await;
        if is_allowed {
            read(delete(&app, &path("g-1", &newest)).await, 200).await;
            continue;
        }
        for (backup, newer) in [(&newer, 1), (&newest, 0)] {
            let said = error(delete(&app, &path("g-1", backup)).await, 423, "Locked").await;
            let expected = format!(
                "The backup {} is one of the newest that have to stay: only {newer} newer done backups exist, 2 are required.",
                backup.id
            );
            assert_eq!(said, expected);
        }
        app.database.execute("UPDATE service_instances SET state = 'deleted', deleted_at = now()").unwrap();
        read(delete(&app, &path("g-1", &newest)).await, 200).await;
    }
}
