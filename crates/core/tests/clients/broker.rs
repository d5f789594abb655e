//! The client of service brokers against hostile ones.

use std::time::Duration;

use backup_core::clients::broker::{BrokerClient, BrokerEndpoint, BrokerError};
use backup_core::clients::{HttpLimits, TlsOptions};
use secrecy::SecretString;
use serde_json::{Value, json as value};

use crate::scripted::{Act, Scripted, json, with_header};

fn client(server: &Scripted) -> BrokerClient {
    let limits = HttpLimits {
        connect: Duration::from_secs(2),
        total: Duration::from_millis(1500),
        max_answer_bytes: 64 * 1024,
    };
    let endpoint = BrokerEndpoint {
        url: server.url.join("broker/").unwrap(),
        user: "manager".into(),
        password: SecretString::from("s3cret"),
    };
    BrokerClient::with_limits(endpoint, &TlsOptions::default(), limits).unwrap()
}

fn page(number: u32, of: u32, total: u32, guids: &[&str]) -> Act {
    let resources: Vec<Value> = guids
        .iter()
        .map(|guid| value!({"id": 1, "guid_at_tenant": guid, "state": "hovering", "surprise": [1]}))
        .collect();
    // The broker's own links lead elsewhere; they must not be followed.
    let next = (number < of).then_some("http://127.0.0.1:1/evil?page=2");
    json(
        200,
        value!({"total_results": total, "total_pages": of, "current_page": number, "prev_url": null,
        "next_url": next, "resources": resources, "took_ms": 4}),
    )
}

#[tokio::test]
async fn all_pages_are_read_with_credential_and_version() {
    let server = Scripted::start(vec![page(1, 2, 3, &["a", "b"]), page(2, 2, 3, &["c"])]).await;
    let instances = client(&server).list_instances().await.unwrap();
    let guids: Vec<_> = instances.iter().map(|i| i.guid.as_str()).collect();
    assert_eq!(guids, ["a", "b", "c"]);
    assert_eq!(instances[0].state, "hovering");
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /broker/instances?page=1 "), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /broker/instances?page=2 "), "{}", requests[1]);
    assert!(requests[1].contains("x-broker-api-version: 2.14"));
    assert!(requests[1].contains("authorization: Basic "));
}

#[tokio::test]
async fn a_listing_that_changed_while_it_was_read_is_begun_anew() {
    let server = Scripted::start(vec![
        page(1, 2, 2, &["a"]),
        page(2, 2, 3, &["b"]),
        page(1, 2, 3, &["a", "b"]),
        page(2, 2, 3, &["c"]),
    ])
    .await;
    assert_eq!(client(&server).list_instances().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_listing_that_never_adds_up_is_refused_as_a_whole() {
    let server = Scripted::start((0..3).map(|_| page(1, 1, 2, &["a"])).collect()).await;
    let error = client(&server).list_instances().await.unwrap_err();
    assert!(matches!(error, BrokerError::Incomplete { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_broker_that_dies_half_way_gives_no_listing() {
    let cut = Act::Raw("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"total_results\": 3".into());
    for second in [cut, json(500, "oops"), json(200, "{}"), Act::Flood, Act::Silence] {
        let server = Scripted::start(vec![page(1, 2, 3, &["a", "b"]), second]).await;
        assert!(client(&server).list_instances().await.is_err());
    }
}

#[tokio::test]
async fn an_instance_without_guid_makes_the_whole_listing_unusable() {
    let body = value!({"total_results": 2, "total_pages": 1, "current_page": 1,
        "resources": [{"id": 1, "guid_at_tenant": "a"}, {"id": 2}]});
    let server = Scripted::start(vec![json(200, body)]).await;
    let error = client(&server).list_instances().await.unwrap_err();
    assert!(error.to_string().contains("with id 2"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_an_error_page_is_quoted_shortly() {
    let server = Scripted::start(vec![with_header(302, "location: http://127.0.0.1:1/", "")]).await;
    let error = client(&server).list_instances().await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { status: 302, .. }), "{error:?}");
    let server = Scripted::start(vec![json(503, "x".repeat(5000))]).await;
    assert!(client(&server).list_instances().await.unwrap_err().to_string().len() < 600);
}
