//! `/v2/catalogue/…`: asking for a rebuild and reading what became of it.

use reqwest::Method;
use serde_json::json;

use crate::app::{App, error, json as read};

#[tokio::test]
async fn a_rebuild_is_recorded_with_its_job_and_shown() {
    let app = App::start().await;
    let body = json!({"dry_run": "true"});
    let answer = app.request(Method::POST, "/v2/catalogue/rebuild").json(&body).send().await.unwrap();
    let id = read(answer, 202).await["id"].as_i64().unwrap();
    let shown = read(app.get(&format!("/v2/catalogue/rebuilds/{id}")).await, 200).await;
    assert_eq!((&shown["status"], &shown["dry_run"]), (&json!("queued"), &json!(true)), "{shown}");
    assert_eq!((&shown["store"], &shown["outcomes"]), (&json!(null), &json!({})));
    let job = "SELECT kind || ' ' || queue FROM jobs";
    assert_eq!(app.database.value(job).unwrap().unwrap(), "rebuild_catalogue update_instance_state_job");
    let event = "SELECT action || ': ' || subject FROM audit_events";
    let expected = format!("rebuild_catalogue: rebuild {id} from all stores, without adopting");
    assert_eq!(app.database.value(event).unwrap().unwrap(), expected);
}

#[tokio::test]
async fn findings_are_listed_page_by_page() {
    let app = App::start().await;
    app.database
        .execute(
            "INSERT INTO catalogue_rebuilds (is_dry_run, requested_by) VALUES (false, 'admin');
             INSERT INTO catalogue_findings (rebuild_id, outcome, store, path, backup_id)
             SELECT r.id, 'adopted', 'local', 'p/' || n, n FROM catalogue_rebuilds r, generate_series(1, 5) n",
        )
        .unwrap();
    let id = app.database.value("SELECT id FROM catalogue_rebuilds").unwrap().unwrap();
    let mut next = Some(format!("/v2/catalogue/rebuilds/{id}/findings?limit=2"));
    let mut names = Vec::new();
    while let Some(path) = next {
        let answer = app.get(&path).await;
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        next = link.map(|link| link[1..].split('>').next().unwrap().to_owned());
        let page = read(answer, 200).await;
        names.extend(page.as_array().unwrap().iter().map(|finding| finding["backup_id"].clone()));
    }
    assert_eq!(names, ["1", "2", "3", "4", "5"]);
    let shown = read(app.get(&format!("/v2/catalogue/rebuilds/{id}")).await, 200).await;
    assert_eq!(shown["outcomes"], json!({"adopted": 5}));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_begun() {
    let app = App::start().await;
    let rebuild =
        |body: serde_json::Value| app.request(Method::POST, "/v2/catalogue/rebuild").json(&body).send();
    error(rebuild(json!({"store": "elsewhere"})).await.unwrap(), 422, "InvalidValue").await;
    error(rebuild(json!({"dryrun": true})).await.unwrap(), 400, "BadRequest").await;
    error(app.get("/v2/catalogue/rebuilds/7").await, 404, "NotFound").await;
    error(app.get("/v2/catalogue/rebuilds/7/findings").await, 404, "NotFound").await;
    error(app.get("/v2/catalogue/rebuilds/x").await, 400, "BadRequest").await;
    assert_eq!(app.database.value("SELECT count(*) FROM jobs").unwrap().unwrap(), "0");
}
