//! Every fault of the proxy: what the client sees, and what the target received.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::net::SocketAddr;
use std::time::Duration;

use backup_chaos::proxy::{Fault, FaultProxy, Rubbish, Times};
use backup_testkit::{Answer, FakeServer};
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// A target that answers with its count of requests, a proxy in front of it, and a client that keeps connections.
struct House {
    target: FakeServer,
    proxy: FaultProxy,
    client: Client,
}

impl House {
    fn new() -> Self {
        let count = std::sync::atomic::AtomicU64::new(0);
        let target = FakeServer::start(move |request| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            let body = json!({"id": "op-1", "count": count, "length": request.body.len()});
            Answer::Json(200, body)
        })
        .unwrap();
        let address: SocketAddr = target.url().strip_prefix("http://").unwrap().parse().unwrap();
        let proxy = FaultProxy::start(address).unwrap();
        Self { target, proxy, client: Client::new() }
    }

    async fn put(&self, body: impl Into<reqwest::Body>) -> reqwest::Result<Response> {
        self.client.put(format!("{}/v1/backups/op-1?epoch=1", self.proxy.url())).body(body).send().await
    }

    async fn count(&self) -> u64 {
        self.put("x").await.unwrap().json::<Value>().await.unwrap()["count"].as_u64().unwrap()
    }

    fn received(&self) -> usize {
        self.target.requests().len()
    }

    async fn wait_for(&self, requests: usize) {
        while self.received() < requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn faults(&self, fault: Fault) -> u64 {
        self.proxy.counts().faults.get(fault.name()).copied().unwrap_or_default()
    }
}

#[tokio::test]
async fn without_a_fault_requests_and_answers_pass_unchanged_also_large_ones() {
    let house = House::new();
    let large = vec![7_u8; 5 << 20];
    let answer = house.put(large.clone()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"id": "op-1", "count": 1, "length": 5 << 20}));
    let request = house.target.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/v1/backups/op-1"));
    assert_eq!((request.query.as_str(), request.body.to_vec()), ("epoch=1", large));
    assert_eq!(house.count().await, 2);
    let counts = house.proxy.counts();
    assert_eq!((counts.received, counts.forwarded, counts.unanswered), (2, 2, 0));
    assert!(counts.faults.is_empty());
}

#[tokio::test]
async fn refused_means_that_nobody_listens_and_open_connections_are_cut_until_healed() {
    let house = House::new();
    assert_eq!(house.count().await, 1);
    house.proxy.inject(Fault::Refuse, Times::Next(1));
    // The first may still be sent into the connection that was cut.
    assert!(house.put("x").await.is_err());
    for _ in 0..2 {
        let error = house.put("x").await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
    }
    // The port stays ours, nobody can take it meanwhile.
    assert!(std::net::TcpListener::bind(house.proxy.address()).is_err());
    assert_eq!(house.received(), 1);
    house.proxy.heal();
    assert_eq!(house.count().await, 2);
    assert_eq!(house.faults(Fault::Refuse), 1);
}

#[tokio::test]
async fn a_request_dropped_before_the_target_is_never_heard_there() {
    let house = House::new();
    house.proxy.inject(Fault::DropBefore, Times::Next(2));
    for _ in 0..2 {
        assert!(house.put("x").await.is_err());
    }
    assert_eq!(house.received(), 0);
    assert_eq!(house.count().await, 1);
    assert_eq!(house.faults(Fault::DropBefore), 2);
}

#[tokio::test]
async fn a_dropped_answer_leaves_the_request_carried_out_once() {
    let house = House::new();
    house.proxy.inject(Fault::DropAfter, Times::Next(1));
    assert!(house.put("x").await.is_err());
    assert_eq!(house.received(), 1);
    assert_eq!(house.count().await, 2);
}

#[tokio::test]
async fn a_duplicated_request_is_heard_twice_and_its_second_answer_returned() {
    let house = House::new();
    house.proxy.inject(Fault::Duplicate, Times::Next(1));
    assert_eq!(house.count().await, 2);
    let requests = house.target.requests();
    assert_eq!((requests.len(), &requests[0].body), (2, &requests[1].body));
    let copied = house.proxy.duplicated();
    assert_eq!((copied.len(), copied[0].id(), copied[0].method.as_str()), (1, "op-1", "PUT"));
    assert_eq!(house.count().await, 3);
    assert_eq!(house.proxy.counts().forwarded, 3);
}

#[tokio::test]
async fn a_late_copy_arrives_after_the_first_answer_also_when_healed_meanwhile() {
    let house = House::new();
    house.proxy.inject(Fault::LateCopy(Duration::from_millis(50)), Times::UntilHealed);
    assert_eq!(house.count().await, 1);
    house.proxy.heal();
    house.wait_for(2).await;
    assert_eq!(house.proxy.duplicated()[0].path, "/v1/backups/op-1");
    assert_eq!(house.count().await, 3);
}

#[tokio::test]
async fn a_delayed_request_reaches_the_target_also_when_the_client_has_given_up() {
    let mut house = House::new();
    house.client = Client::builder().timeout(Duration::from_millis(50)).build().unwrap();
    house.proxy.inject(Fault::Delay(Duration::from_millis(500)), Times::Next(1));
    assert!(house.put("late").await.unwrap_err().is_timeout());
    assert_eq!(house.received(), 0);
    house.wait_for(1).await;
    assert_eq!(house.target.requests()[0].body.as_ref(), b"late");
    house.client = Client::new();
    house.proxy.inject(Fault::Delay(Duration::from_millis(5)), Times::Next(1));
    assert_eq!(house.count().await, 2);
}

#[tokio::test]
async fn half_an_answer_is_its_head_and_half_its_body() {
    let house = House::new();
    house.proxy.inject(Fault::HalfAnswer, Times::Next(1));
    let mut answer = house.put("x").await.unwrap();
    assert_eq!(answer.status(), 200);
    let whole = json!({"id": "op-1", "count": 1, "length": 1}).to_string();
    assert_eq!(answer.headers()["content-length"], whole.len().to_string().as_str());
    assert_eq!(answer.chunk().await.unwrap().unwrap(), whole.as_bytes()[..whole.len() / 2]);
    assert!(answer.chunk().await.is_err());
    assert_eq!((house.received(), house.count().await), (1, 2));
}

#[tokio::test]
async fn rubbish_is_answered_although_the_target_did_its_work() {
    let house = House::new();
    let mut answers = Vec::new();
    for sort in [Rubbish::Junk, Rubbish::OtherShape, Rubbish::WrongId, Rubbish::Html] {
        house.proxy.inject(Fault::Rubbish(sort), Times::Next(1));
        let answer = house.put("x").await.unwrap();
        answers.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    assert_eq!(house.received(), 4);
    assert!(answers[0].0 == 200 && serde_json::from_str::<Value>(&answers[0].1).is_err());
    assert!(answers[1].0 == 200 && serde_json::from_str::<Value>(&answers[1].1).unwrap().get("id").is_none());
    let wrong: Value = serde_json::from_str(&answers[2].1).unwrap();
    assert!(answers[2].0 == 200 && wrong["count"] == 3 && wrong["id"] != "op-1");
    assert!(answers[3].0 == 502 && answers[3].1.starts_with("<html>"));
    assert_eq!(house.faults(Fault::Rubbish(Rubbish::Junk)), 4);
}

#[tokio::test]
async fn an_injected_status_is_answered_without_the_target() {
    let house = House::new();
    house.proxy.inject(Fault::Error(503), Times::UntilHealed);
    for _ in 0..3 {
        assert_eq!(house.put("x").await.unwrap().status(), 503);
    }
    assert_eq!(house.received(), 0);
    house.proxy.heal();
    assert_eq!((house.count().await, house.faults(Fault::Error(503))), (1, 3));
}

#[tokio::test]
async fn a_fault_for_one_method_lets_the_others_pass() {
    let house = House::new();
    house.proxy.inject_into("PUT", Fault::Error(500), Times::Next(1));
    let get = || house.client.get(format!("{}/v1/info", house.proxy.url())).send();
    assert_eq!(get().await.unwrap().status(), 200);
    assert_eq!(house.put("x").await.unwrap().status(), 500);
    assert_eq!(house.put("x").await.unwrap().status(), 200);
    assert_eq!(house.received(), 2);
}

#[tokio::test]
async fn a_dead_target_is_a_lost_connection_and_a_returned_one_is_reached_again() {
    let mut house = House::new();
    assert_eq!(house.count().await, 1);
    house.target.down();
    assert!(house.put("x").await.is_err());
    assert_eq!(house.proxy.counts().unanswered, 1);
    house.target.up().unwrap();
    assert_eq!(house.count().await, 2);
}

#[tokio::test]
async fn a_dropped_proxy_gives_its_port_back() {
    let House { proxy, .. } = House::new();
    let address = proxy.address();
    drop(proxy);
    std::net::TcpListener::bind(address).unwrap();
}
