//! `GET /instances`: the objects of the first generation, streamed or in pages.

use serde_json::{Value, json};

use crate::app::{App, assert_fields, assert_time, error, json as read};

#[tokio::test]
async fn an_instance_shows_its_backups_and_restores_with_their_tasks() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    let restore =
        read(app.post(&format!("/instances/g-1/backups/{}/restore", backup.id), json!({})).await, 202).await;
    let shown = read(app.get("/instances/g-1").await, 200).await;
    assert_eq!(read(app.get("/instances").await, 200).await, json!([shown]));
    assert_fields(
        &shown,
        &[
            "id",
            "instance_id",
            "backups",
            "restores",
            "service_broker",
            "state",
            "deployment_name",
            "plan_guid",
            "service_guid",
            "backup_guid",
            "organization_guid",
            "space_guid",
            "last_done_at",
        ],
    );
    assert_eq!((shown["id"].as_i64(), shown["instance_id"].as_str()), (Some(instance.id), Some("g-1")));
    let shown_backup = &shown["backups"][0];
    assert_fields(
        shown_backup,
        &["id", "instance_id", "backup_id", "size", "is_downloadable", "backup_agent_task"],
    );
    assert_eq!(shown_backup["instance_id"].as_i64(), Some(instance.id));
    assert_eq!(shown_backup["backup_id"], backup.backup_id.as_str());
    let shown_restore = &shown["restores"][0];
    assert_fields(shown_restore, &["id", "instance_id", "backup_agent_tasks"]);
    assert_eq!(shown_restore["id"], restore["id"]);
    for task in [&shown_backup["backup_agent_task"], &shown_restore["backup_agent_tasks"][0]] {
        assert_fields(task, &["id", "task_id", "status", "msg", "created_at", "updated_at"]);
        assert!(task["id"].is_i64() && task["task_id"].is_string());
        assert_time(&task["created_at"]);
        assert_time(&task["updated_at"]);
    }
    assert_eq!(shown_backup["backup_agent_task"]["status"], "done");
    assert_eq!(shown_restore["backup_agent_tasks"][0]["status"], "queued");
    error(app.get("/instances/g-2").await, 404, "NotFound").await;
}

#[tokio::test]
async fn the_list_is_an_array_however_many_instances_there_are() {
    let app = App::start().await;
    assert_eq!(read(app.get("/instances").await, 200).await, json!([]));
    for count in 1..=45 {
        let instance = app.instance(&format!("g-{count}"));
        app.database.seed_backup(&instance, "done", 1).unwrap();
        if [1, 20, 21, 40].contains(&count) {
            assert_eq!(read(app.get("/instances").await, 200).await.as_array().unwrap().len(), count);
        }
    }
    let list = read(app.get("/instances").await, 200).await;
    let guids: Vec<_> =
        list.as_array().unwrap().iter().map(|instance| instance["instance_id"].clone()).collect();
    let expected: Vec<Value> = (1..=45).map(|count| json!(format!("g-{count}"))).collect();
    assert_eq!(guids, expected);
    assert!(
        list.as_array().unwrap().iter().all(|instance| instance["backups"].as_array().unwrap().len() == 1)
    );
}

#[tokio::test]
async fn pages_are_linked() {
    let app = App::start().await;
    for count in 1..=5 {
        app.instance(&format!("g-{count}"));
    }
    let page = async |query: &str| {
        let answer = app.get(&format!("/instances?{query}")).await;
        let link = answer.headers()["link"].to_str().unwrap().to_owned();
        let guids: Vec<String> = read(answer, 200)
            .await
            .as_array()
            .unwrap()
            .iter()
            .map(|instance| instance["instance_id"].as_str().unwrap().to_owned())
            .collect();
        (guids.join(" "), link)
    };
    let (guids, link) = page("page=2&per_page=2").await;
    assert_eq!(guids, "g-3 g-4");
    for part in [
        "page=1&per_page=2>; rel=\"prev\"",
        "page=3&per_page=2>; rel=\"next\"",
        "page=3&per_page=2>; rel=\"last\"",
        "page=1&per_page=2>; rel=\"first\"",
    ] {
        assert!(link.contains(part), "{link}");
    }
    let (guids, link) = page("page=3&per_page=2").await;
    assert_eq!(guids, "g-5");
    assert!(!link.contains("next"), "{link}");
    assert_eq!(page("page=4&per_page=2").await.0, "");
    assert_eq!(page("per_page=3").await.0, "g-1 g-2 g-3");
    assert_eq!(page("page=1").await.0, "g-1 g-2 g-3 g-4 g-5");
}
