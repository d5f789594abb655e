//! RabbitMQ's definitions come back as they were, and those made since are gone.

use backup_protocol::{OperationState, OperationStatus};
use private_services::Rabbitmq;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Agent, Client, Process, Site, merged};

fn site(rabbitmq: &Rabbitmq) -> Site {
    let url = format!("http://127.0.0.1:{}", rabbitmq.management_port());
    Site::with_driver(json!({"rabbitmq": {"url": url, "user": "guest", "password": "guest"}}))
}

async fn send(rabbitmq: &Rabbitmq, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("http://127.0.0.1:{}/api/{path}", rabbitmq.management_port());
    let mut request = reqwest::Client::new().request(method, url).basic_auth("guest", Some("guest"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

async fn all(rabbitmq: &Rabbitmq, calls: Vec<(Method, &str, Value)>) {
    for (method, path, body) in calls {
        let (status, answer) = send(rabbitmq, method.clone(), path, Some(body)).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    }
}

/// The definitions without what RabbitMQ itself adds, each list in one order.
async fn content(rabbitmq: &Rabbitmq) -> Value {
    let (_, mut definitions) = send(rabbitmq, Method::GET, "definitions", None).await;
    for (_, list) in definitions.as_object_mut().unwrap() {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    }
    definitions
}

fn error(status: OperationStatus) -> (String, String) {
    assert_eq!(status.state, OperationState::Failed, "{status:?}");
    let error = status.error.unwrap();
    (error.code, error.message)
}

async fn fill(rabbitmq: &Rabbitmq) {
    let put = Method::PUT;
    let permission = json!({"configure": "^shop", "write": ".*", "read": ".*"});
    all(
        rabbitmq,
        vec![
            (put.clone(), "vhosts/shop", json!({"description": "the shop", "tags": "production"})),
            (put.clone(), "vhosts/a%2Fb%20%E2%98%83", json!({})),
            (put.clone(), "users/app", json!({"password": "before", "tags": "monitoring"})),
            (put.clone(), "permissions/shop/app", permission.clone()),
            (put.clone(), "permissions/shop/guest", json!({"configure": ".*", "write": ".*", "read": ".*"})),
            (put.clone(), "topic-permissions/shop/app", json!({"exchange": "news", "write": "^a", "read": ".*"})),
            (put.clone(), "exchanges/shop/news", json!({"type": "topic", "durable": true})),
            (put.clone(), "exchanges/shop/inner", json!({"type": "fanout", "durable": true, "internal": true})),
            (put.clone(), "queues/shop/orders", json!({"durable": true, "arguments": {"x-message-ttl": 60000}})),
            (put.clone(), "queues/shop/stream", json!({"durable": true, "arguments": {"x-queue-type": "quorum"}})),
            (
                Method::POST,
                "bindings/shop/e/news/q/orders",
                json!({"routing_key": "a.#", "arguments": {"x": 1}}),
            ),
            (Method::POST, "bindings/shop/e/news/e/inner", json!({"routing_key": "b"})),
            (
                put.clone(),
                "policies/shop/long",
                json!({"pattern": "^o", "definition": {"max-length": 1000}, "priority": 3, "apply-to": "queues"}),
            ),
            (put.clone(), "vhost-limits/shop/max-queues", json!({"value": 77})),
            (put, "global-parameters/theme", json!({"value": {"colour": "blue"}})),
        ],
    )
    .await;
}

async fn spoil(rabbitmq: &Rabbitmq) {
    for path in [
        "users/app",
        "exchanges/shop/news",
        "queues/shop/orders",
        "policies/shop/long",
        "vhosts/a%2Fb%20%E2%98%83",
    ] {
        assert_eq!(send(rabbitmq, Method::DELETE, path, None).await.0, 204, "{path}");
    }
    let put = Method::PUT;
    all(
        rabbitmq,
        vec![
            (put.clone(), "vhosts/since", json!({})),
            (put.clone(), "users/stray", json!({"password": "x", "tags": "administrator"})),
            (put.clone(), "permissions/shop/stray", json!({"configure": "", "write": "", "read": ""})),
            // The same name with other properties.
            (put.clone(), "queues/shop/orders", json!({"durable": false})),
            (put.clone(), "exchanges/shop/news", json!({"type": "direct", "durable": true})),
            (put.clone(), "queues/shop/stray", json!({"durable": true})),
            (Method::POST, "bindings/shop/e/news/q/stream", json!({"routing_key": "stray"})),
            (put.clone(), "policies/shop/stray", json!({"pattern": ".*", "definition": {"max-length": 1}})),
            (put, "global-parameters/theme", json!({"value": {"colour": "red"}})),
        ],
    )
    .await;
}

async fn message_count(rabbitmq: &Rabbitmq, queue: &str) -> usize {
    let get = json!({"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let path = format!("queues/shop/{queue}/get");
    send(rabbitmq, Method::POST, &path, Some(get)).await.1.as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_survive_a_round_trip_and_messages_stay_in_queues_that_stay() {
    let rabbitmq = Rabbitmq::start().unwrap();
    fill(&rabbitmq).await;
    let publish =
        json!({"properties": {}, "routing_key": "stream", "payload": "hello", "payload_encoding": "string"});
    all(&rabbitmq, vec![(Method::POST, "exchanges/shop/amq.default/publish", publish)]).await;
    let before = content(&rabbitmq).await;
    let site = site(&rabbitmq);
    let agent = Agent::start(&site).await;
    let version = agent.get("/v1/info").await.body["data_service_version"].clone();
    assert_eq!(version, before["rabbitmq_version"]);
    let backup = agent.backup("b").await;
    spoil(&rabbitmq).await;
    agent.restore("r", &backup).await;
    assert_eq!(content(&rabbitmq).await, before);
    assert_eq!(message_count(&rabbitmq, "stream").await, 1);
    assert!(!site.path("scratch/rabbitmq-restore.json").exists());
    assert!(rabbitmq.ctl(&["authenticate_user", "app", "before"]).is_ok());
    // And once more, over what was just restored.
    agent.restore("r2", &backup).await;
    assert_eq!(content(&rabbitmq).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_missing_rights_and_a_missing_plugin_are_told_apart() {
    let rabbitmq = Rabbitmq::start().unwrap();
    all(&rabbitmq, vec![(Method::PUT, "users/app", json!({"password": "app-secret", "tags": "monitoring"}))])
        .await;
    for (user, password) in [("guest", "wrong-secret"), ("app", "app-secret")] {
        let mut site = site(&rabbitmq);
        let login = json!({"user": user, "password": password});
        site.config["driver"]["rabbitmq"] = merged(site.config["driver"]["rabbitmq"].clone(), login);
        let agent = Agent::start(&site).await;
        let (code, message) = error(agent.backup_with("b", json!({})).await);
        assert_eq!(code, "data_service_access_denied", "{message}");
        assert!(!message.contains("-secret"), "{message}");
        assert!(site.stored().is_empty());
    }
    // Something answers at this address, but not RabbitMQ's management.
    let mut site = site(&rabbitmq);
    let url = format!("http://127.0.0.1:{}/nowhere", rabbitmq.management_port());
    site.config["driver"]["rabbitmq"]["url"] = json!(url);
    let agent = Agent::start(&site).await;
    let (code, message) = error(agent.backup_with("b", json!({})).await);
    assert_eq!(code, "data_service_error", "{message}");
    assert!(message.contains("rabbitmq_management"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_unreachable() {
    let mut rabbitmq = Rabbitmq::start().unwrap();
    let site = site(&rabbitmq);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    rabbitmq.kill().unwrap();
    for status in
        [agent.backup_with("b2", json!({})).await, agent.restore_with("r", &backup, json!({})).await]
    {
        let (code, message) = error(status);
        assert_eq!(code, "data_service_unreachable", "{message}");
    }
    rabbitmq.resume().unwrap();
    agent.restore("r2", &backup).await;
}

/// A backup with any definitions as its stream.
async fn forged(site: &Site, id: &str, bytes: &[u8]) -> OperationStatus {
    let file = site.path("forged");
    std::fs::write(&file, bytes).unwrap();
    let mut other =
        Site::with_driver(json!({"command": {"backup": ["/bin/cat", file], "restore": ["/bin/cat"]}}));
    other.config["stores"] = site.config["stores"].clone();
    let agent = Agent::start(&other).await;
    let status = agent.backup(id).await;
    agent.stop().await;
    let metadata = site.path("store").join(format!("prefix/guid/{}/metadata.json", status.id));
    let text = std::fs::read_to_string(&metadata).unwrap();
    let renamed = text.replace("\"name\": \"command\"", "\"name\": \"rabbitmq\"");
    let renamed = renamed.replace("\"name\":\"command\"", "\"name\":\"rabbitmq\"");
    assert_ne!(renamed, text);
    std::fs::write(&metadata, renamed).unwrap();
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_the_server_does_not_take_are_undone() {
    let rabbitmq = Rabbitmq::start().unwrap();
    fill(&rabbitmq).await;
    let before = content(&rabbitmq).await;
    let site = site(&rabbitmq);
    let agent = Agent::start(&site).await;

    let mut impossible = before.clone();
    impossible["queues"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "bad", "vhost": "shop", "durable": true,
        "auto_delete": false, "arguments": {"x-message-ttl": "no number"}}));
    impossible["users"].as_array_mut().unwrap().retain(|user| user["name"] != "app");
    impossible["vhosts"].as_array_mut().unwrap().push(json!({"name": "made-first"}));
    let mut newer = before.clone();
    newer["rabbitmq_version"] = json!("99.1.0");
    let cases = [
        (impossible.to_string(), "data_service_error"),
        (newer.to_string(), "data_service_version"),
        ("{}".to_owned(), "bad_request"),
        (before.to_string()[..200].to_owned(), "bad_request"),
    ];
    for (number, (definitions, expected)) in cases.into_iter().enumerate() {
        let backup = forged(&site, &format!("forged-{number}"), definitions.as_bytes()).await;
        let (code, message) = error(agent.restore_with(&format!("r{number}"), &backup, json!({})).await);
        assert_eq!(code, expected, "{number}: {message}");
        assert_eq!(content(&rabbitmq).await, before, "{number}");
        assert!(!site.path("scratch/rabbitmq-restore.json").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_the_middle_completes_the_restore_at_its_return() {
    let rabbitmq = Rabbitmq::start().unwrap();
    fill(&rabbitmq).await;
    let before = content(&rabbitmq).await;
    let site = site(&rabbitmq);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    agent.stop().await;
    spoil(&rabbitmq).await;
    for number in 0..200 {
        let path = format!("queues/shop/since-{number}");
        // The limit of the backup is 77 queues.
        send(&rabbitmq, Method::PUT, "vhost-limits/shop/max-queues", Some(json!({"value": 1000}))).await;
        all(&rabbitmq, vec![(Method::PUT, &path, json!({"durable": true}))]).await;
    }
    let agent = Process::start(&site).await;
    assert_eq!(agent.put("/v1/restores/r", Client::restore_body(&backup)).await.status, 202);
    let queues = async || content(&rabbitmq).await["queues"].as_array().unwrap().len();
    while queues().await > 195 {
        tokio::task::yield_now().await;
    }
    agent.kill();
    assert!(queues().await > 3, "the kill must come in the middle");
    assert!(site.path("scratch/rabbitmq-restore.json").exists());

    let agent = Process::start(&site).await;
    assert_eq!(error(agent.get("/v1/restores/r").await.operation()).0, "interrupted");
    assert_eq!(content(&rabbitmq).await, before);
    assert!(!site.path("scratch/rabbitmq-restore.json").exists());
}
