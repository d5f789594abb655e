//! Spec 2.3.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, assert_fields, error, json as read};

#[tokio::test]
async fn the_configuration_shows_the_operators_defaults_until_the_owner_changes_them() {
    let app = App::start().await;
    app.instance("g-1");
    let shown = read(app.get("/instances/g-1/config").await, 200).await;
    assert_eq!(
        shown,
        json!({"min_backup_count": 5, "retention_time": 7, "min_encryption_key_length": 8,
               "exclude_from_auto_backup": false, "backup_type": null})
    );
    let changed = read(
        app.put(
            "/instances/g-1",
            json!({"min_backup_count": 0, "retention_time": 30, "exclude_from_auto_backup": true,
                                         "credentials_updated_by_user": true}),
        )
        .await,
        200,
    )
    .await;
    assert_eq!(changed, json!({"message": "instance updated"}));
    let shown = read(app.get("/instances/g-1/config").await, 200).await;
    assert_eq!((shown["min_backup_count"].as_i64(), shown["retention_time"].as_i64()), (Some(0), Some(30)));
    assert_eq!(shown["exclude_from_auto_backup"], true);
    error(app.get("/instances/g-2/config").await, 404, "NotFound").await;
}

#[tokio::test]
async fn a_form_changes_the_configuration_as_json_does() {
    let app = App::start().await;
    app.instance("g-1");
    let request =
        app.request(Method::PUT, "/instances/g-1").body("exclude_from_auto_backup=true&min_backup_count=3");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    read(request.send().await.unwrap(), 200).await;
    let shown = read(app.get("/instances/g-1/config").await, 200).await;
    assert_eq!(
        (shown["min_backup_count"].as_i64(), shown["exclude_from_auto_backup"].as_bool()),
        (Some(3), Some(true))
    );
}

#[tokio::test]
async fn values_out_of_their_bounds_are_422_and_name_field_and_bound() {
    let app = App::start().await;
    app.instance("g-1");
    let put = async |body: Value, word: &str| error(app.put("/instances/g-1", body).await, 422, word).await;
    assert!(
        put(json!({"encryption_key": "short"}), "EncryptionKeyTooShort")
            .await
            .contains("encryption_key has 5 characters; at least 8")
    );
    assert!(
        put(json!({"min_backup_count": -1}), "InvalidValue")
            .await
            .contains("min_backup_count is -1; allowed is 0")
    );
    assert!(
        put(json!({"retention_time": 9_999_999}), "InvalidValue").await.contains("retention_time is 9999999")
    );
    let said = put(json!({"encryption_key": "a secret\0with a NUL"}), "InvalidValue").await;
    assert!(!said.contains("secret"), "{said}");
    put(json!({}), "NothingToChange").await;
    let unknown = app.put("/instances/g-1", json!({"min_backup_count": 3, "retention_tim": 1})).await;
    let said = error(unknown, 400, "BadRequest").await;
    assert_eq!(
        said,
        "The field retention_tim is unknown; allowed: encryption_key, exclude_from_auto_backup, \
         credentials_updated_by_user, min_backup_count, retention_time, backup_type."
    );
    error(app.request(Method::PUT, "/instances/g-1").send().await.unwrap(), 422, "NothingToChange").await;
    error(app.put("/instances/g-2", json!({"min_backup_count": 1})).await, 404, "NotFound").await;
}

#[tokio::test]
async fn an_encryption_key_goes_in_and_never_comes_out() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    read(app.put("/instances/g-1", json!({"encryption_key": "my own secret key"})).await, 200).await;
    for path in
        ["/instances", "/instances/g-1", "/instances/g-1/config", "/instances/g-1/backups", "/v2/queues/jobs"]
    {
        let text = app.get(path).await.text().await.unwrap();
        assert!(!text.contains("my own secret key"), "{path}");
    }
    let plain = "SELECT count(*) FROM encryption_keys WHERE position('secret'::bytea in ciphertext) > 0";
    assert_eq!(app.database.value(plain).unwrap().unwrap(), "0");
    assert_eq!(app.database.value("SELECT count(*) FROM encryption_keys").unwrap().unwrap(), "2");
    let shown = read(app.get(&format!("/instances/g-1/backups/{}", backup.id)).await, 200).await;
    assert_fields(&json!({"downloadable": shown["downloadable"]}), &["downloadable"]);
    assert_eq!(shown["downloadable"], false, "made with another key");
}
