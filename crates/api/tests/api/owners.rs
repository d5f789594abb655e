//! What owners see and do: their own instances, and no trace of others.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, error, json as read};

fn of(app: &App, name: &str, method: Method, path: &str) -> RequestBuilder {
    app.anonymous(method, path).basic_auth(name, Some(PASSWORD))
}

async fn post(app: &App, name: &str, path: &str, body: Value) -> reqwest::Response {
    of(app, name, Method::POST, path).json(&body).send().await.unwrap()
}

#[tokio::test]
async fn the_list_and_its_pages_have_only_the_owners_instances() {
    let app = App::start().await;
    for guid in ["g-foreign", "g-own", "g-2", "g-3", "g-4"] {
        app.instance(guid);
    }
    let sql = "UPDATE service_instances SET space_guid = 'space-own' WHERE guid IN ('g-2', 'g-3', 'g-4');
               UPDATE service_instances SET organization_guid = 'organization-own' WHERE guid = 'g-4'";
    app.database.execute(sql).unwrap();
    let list = async |name: &str, path: &str| {
        let answer = of(&app, name, Method::GET, path).send().await.unwrap();
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let guids: Vec<String> = read(answer, 200)
            .await
            .as_array()
            .unwrap()
            .iter()
            .map(|instance| instance["instance_id"].as_str().unwrap().to_owned())
            .collect();
        (guids.join(" "), link.unwrap_or_default())
    };
    assert_eq!(list("ann", "/instances").await.0, "g-own");
    assert_eq!(list("olga", "/instances").await.0, "g-4");
    assert_eq!(list("sam", "/instances").await.0, "g-2 g-3 g-4");
    assert_eq!(list("admin", "/instances").await.0, "g-foreign g-own g-2 g-3 g-4");
    let (guids, link) = list("sam", "/instances?page=2&per_page=2").await;
    assert_eq!(guids, "g-4");
    assert!(link.contains("page=2&per_page=2>; rel=\"last\""), "{link}");
    app.database.execute("UPDATE service_instances SET space_guid = 'other' WHERE guid = 'g-2'").unwrap();
    assert_eq!(
        list("sam", "/instances").await.0,
        "g-3 g-4",
        "an instance that moved belongs to others at once"
    );
    error(of(&app, "sam", Method::GET, "/instances/g-2").send().await.unwrap(), 404, "NotFound").await;
}

#[tokio::test]
async fn a_restore_needs_both_ends_to_be_the_owners() {
    let app = App::start().await;
    let (own, foreign) = (app.instance("g-own"), app.instance("g-foreign"));
    let mine = app.database.seed_backup(&own, "done", 1).unwrap().id;
    let theirs = app.database.seed_backup(&foreign, "done", 1).unwrap().id;
    let restore = format!("/v1/instances/g-own/backups/{theirs}/restore");
    let said =
        error(post(&app, "ann", &restore, json!({"source_instance_id": "g-foreign"})).await, 404, "NotFound")
            .await;
    assert_eq!(said, "The instance g-foreign was not found.");
    error(post(&app, "ann", &restore, json!({})).await, 404, "NotFound").await;
    let version_0 = "/service-instances/g-own/backups/restore";
    for target in ["g-foreign".to_owned(), foreign.id.to_string()] {
        let body = json!({"instance_id": target, "backup_id": mine});
        let said = error(post(&app, "ann", version_0, body).await, 404, "NotFound").await;
        assert_eq!(said, format!("The instance {target} was not found."));
    }
    let body = json!({"instance_id": 4711, "backup_id": mine});
    let said = error(post(&app, "ann", version_0, body).await, 404, "NotFound").await;
    assert_eq!(said, "The instance 4711 was not found.");
    for table in ["restores", "jobs", "audit_events"] {
        assert_eq!(
            app.database.value(&format!("SELECT count(*) FROM {table}")).unwrap().unwrap(),
            "0",
            "{table}"
        );
    }
    read(post(&app, "ann", version_0, json!({"instance_id": own.id, "backup_id": mine})).await, 200).await;
    let who = app.database.value("SELECT actor FROM audit_events").unwrap().unwrap();
    assert_eq!(who, "ann");
    // Who owns both may do it.
    app.database.execute("UPDATE service_instances SET space_guid = 'space-own'").unwrap();
    app.database.execute("SET session_replication_role = replica; DELETE FROM restores").unwrap();
    read(post(&app, "sam", &restore, json!({"source_instance_id": "g-foreign"})).await, 202).await;
}

#[tokio::test]
async fn an_owners_token_is_name_and_token_and_is_for_owners_only() {
    let app = App::start().await;
    app.instance("g-own");
    let get = async |token: String| {
        app.anonymous(Method::GET, "/instances/g-own").bearer_auth(token).send().await.unwrap()
    };
    read(get(format!("ann~{PASSWORD}")).await, 200).await;
    for token in
        [format!("admin~{PASSWORD}"), "ann~wrong".into(), "ann".into(), format!("~{PASSWORD}"), "ann~".into()]
    {
        error(get(token).await, 401, "Unauthorized").await;
    }
}
