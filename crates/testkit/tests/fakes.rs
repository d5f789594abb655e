//! The fakes are asked over real HTTP, as the manager asks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use backup_protocol::OperationState;
use backup_testkit::{AgentFault, Answer, FakeAgent, FakeBroker, Plan, Resource};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap()
}

fn start_backup(epoch: i64) -> Value {
    json!({
        "epoch": epoch, "store": "local", "object_prefix": "backups/guid-1",
        "instance": {"guid": "guid-1", "data_service": "postgresql"},
        "encryption": {"scheme": "age", "key": "k", "key_id": "1"}, "compression": {"scheme": "zstd", "level": 3},
        "deadline": "2099-01-01T00:00:00Z", "part_size_limit": 1_000_000
    })
}

async fn put(agent: &FakeAgent, id: &str, body: &Value) -> reqwest::Result<Response> {
    let url = format!("{}/v1/backups/{id}", agent.url());
    client().put(url).basic_auth("agent", Some("secret")).json(body).send().await
}

async fn ask(agent: &FakeAgent, id: &str) -> reqwest::Result<Response> {
    client().get(format!("{}/v1/backups/{id}", agent.url())).basic_auth("agent", Some("secret")).send().await
}

#[tokio::test]
async fn a_backup_runs_to_done_and_its_objects_are_in_the_store() {
    let store = tempfile::tempdir().unwrap();
    let agent = FakeAgent::start(store.path()).unwrap();
    assert_eq!(put(&agent, "b-1", &start_backup(1)).await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(put(&agent, "b-1", &start_backup(2)).await.unwrap().status(), StatusCode::OK);
    assert_eq!(put(&agent, "b-1", &start_backup(1)).await.unwrap().status(), StatusCode::CONFLICT);
    assert_eq!(put(&agent, "b-2", &start_backup(1)).await.unwrap().status(), StatusCode::CONFLICT);
    let first: Value = ask(&agent, "b-1").await.unwrap().json().await.unwrap();
    assert_eq!(first["state"], "running");
    let second: Value = ask(&agent, "b-1").await.unwrap().json().await.unwrap();
    assert_eq!(second["state"], "done");
    let folder = store.path().join("backups/guid-1/b-1");
    let metadata =
        backup_objects::Metadata::parse(&std::fs::read(folder.join("metadata.json")).unwrap()).unwrap();
    assert_eq!(second["checksum"], metadata.checksum.as_str());
    assert_eq!(folder.join("data.00001").metadata().unwrap().len(), metadata.parts[0].size);
    let seen = agent.operations();
    assert_eq!((seen.len(), seen[0].state, seen[0].epoch), (1, OperationState::Done, 2));
}

#[tokio::test]
async fn every_fault_reaches_the_client() {
    let store = tempfile::tempdir().unwrap();
    let mut agent = FakeAgent::start(store.path()).unwrap();
    agent.fail_start(AgentFault::Instead(Answer::Json(429, json!({"error": "Busy", "description": ""}))));
    agent.fail_start(AgentFault::After(Answer::Disconnect));
    assert_eq!(put(&agent, "b-1", &start_backup(1)).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(agent.operations().is_empty());
    let lost = put(&agent, "b-1", &start_backup(1)).await;
    assert!(match lost {
        Err(_) => true,
        Ok(answer) => answer.bytes().await.is_err(),
    });
    assert_eq!(agent.operations().len(), 1);

    agent.fail_status(AgentFault::WrongId);
    agent.fail_status(AgentFault::UnknownState);
    agent.fail_status(AgentFault::Instead(Answer::Huge(1_000_000)));
    agent.fail_status(AgentFault::Instead(Answer::CutOff("{\"id\":".into())));
    agent.fail_status(AgentFault::Instead(Answer::Redirect("http://127.0.0.1:9/".into())));
    let wrong: Value = ask(&agent, "b-1").await.unwrap().json().await.unwrap();
    assert_eq!(wrong["id"], "somebody-else");
    let unknown: Value = ask(&agent, "b-1").await.unwrap().json().await.unwrap();
    assert_eq!(unknown["state"], "levitating");
    assert!(ask(&agent, "b-1").await.unwrap().bytes().await.unwrap().len() >= 1_000_000);
    assert!(ask(&agent, "b-1").await.unwrap().bytes().await.is_err());
    assert_eq!(ask(&agent, "b-1").await.unwrap().status(), StatusCode::TEMPORARY_REDIRECT);

    agent.down();
    assert!(ask(&agent, "b-1").await.unwrap_err().is_connect());
    agent.up().unwrap();
    assert_eq!(ask(&agent, "b-1").await.unwrap().status(), StatusCode::OK);
    agent.forget();
    assert_eq!(ask(&agent, "b-1").await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_plan_may_be_to_fail_or_to_lie() {
    let store = tempfile::tempdir().unwrap();
    let agent = FakeAgent::start(store.path()).unwrap();
    agent.plan(Plan::failed("data_service_error", "no such database"));
    put(&agent, "b-1", &start_backup(1)).await.unwrap();
    let failed: Value = ask(&agent, "b-1").await.unwrap().json().await.unwrap();
    assert_eq!(
        (&failed["state"], &failed["error"]["code"]),
        (&json!("failed"), &json!("data_service_error"))
    );
    agent.plan(Plan::done_without_objects());
    put(&agent, "b-2", &start_backup(1)).await.unwrap();
    let done: Value = ask(&agent, "b-2").await.unwrap().json().await.unwrap();
    assert_eq!(done["state"], "done");
    assert!(!store.path().join("backups").exists());
}

#[tokio::test]
async fn an_operation_cancelled_before_its_start_is_never_started() {
    let store = tempfile::tempdir().unwrap();
    let agent = FakeAgent::start(store.path()).unwrap();
    let url = format!("{}/v1/backups/b-1", agent.url());
    let cancelled = client().delete(url).basic_auth("agent", Some("secret")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::OK);
    let late = put(&agent, "b-1", &start_backup(1)).await.unwrap();
    assert_eq!(late.status(), StatusCode::OK);
    assert_eq!(late.json::<Value>().await.unwrap()["state"], "cancelled");
    assert!(agent.operations().is_empty());
}

#[tokio::test]
async fn a_broker_lists_in_pages_wants_credentials_and_fails_where_told() {
    let broker = FakeBroker::start().unwrap();
    for number in 1..=5 {
        broker.add(Resource::available(number, &format!("guid-{number}")));
    }
    broker.set_page_size(2);
    broker.change("guid-5", |resource| resource.deleted("2024-05-05T00:00:00.000Z"));
    let page = |number: u32| format!("{}/instances?page={number}", broker.url());
    let refused = client().get(page(1)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let get = |url| client().get(url).basic_auth("broker", Some("secret")).send();
    let third: Value = get(page(3)).await.unwrap().json().await.unwrap();
    assert_eq!((&third["total_pages"], &third["next_url"]), (&json!(3), &Value::Null));
    assert_eq!(third["resources"][0]["state"], "deleted");
    broker.fail_page(2, Answer::Text(200, "{\"resources\": [{".into()));
    assert!(get(page(2)).await.unwrap().json::<Value>().await.is_err());
    broker.heal();
    assert_eq!(
        get(page(2)).await.unwrap().json::<Value>().await.unwrap()["resources"].as_array().unwrap().len(),
        2
    );
    assert_eq!(broker.requests().len(), 4);
}

/// As `the_journal_is_listed_page_by_page_without_keys` of the reference agent.
#[tokio::test]
async fn the_fake_agents_journal_is_listed_page_by_page() {
    let store = tempfile::tempdir().unwrap();
    let agent = FakeAgent::start(store.path()).unwrap();
    agent.plan(Plan::done());
    for id in ["b-2", "b-1"] {
        put(&agent, id, &start_backup(1)).await.unwrap();
        ask(&agent, id).await.unwrap();
    }
    let list = async |query: &str| {
        let url = format!("{}/v1/operations?{query}", agent.url());
        client().get(url).basic_auth("agent", Some("secret")).send().await.unwrap()
    };
    let first: Value = list("limit=1").await.json().await.unwrap();
    assert_eq!((&first["operations"][0]["id"], &first["next"]), (&json!("b-1"), &json!("backup-b-1")));
    let second: Value = list("limit=1&after=backup-b-1").await.json().await.unwrap();
    assert_eq!((&second["operations"][0]["id"], &second["next"]), (&json!("b-2"), &Value::Null));
    assert_eq!(
        second["operations"][0]["objects"],
        json!({"store": "local", "object_prefix": "backups/guid-1"})
    );
    for wrong in ["limit=0", "limit=1001", "limit=x", "after=", "after=dream-1"] {
        assert_eq!(list(wrong).await.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    agent.without_journal();
    assert_eq!(list("").await.status(), StatusCode::NOT_FOUND);
}
