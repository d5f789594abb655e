//! An API process with one instance, and the check that an attempt has harmed neither.

use std::net::SocketAddr;

use backup_testkit::Database;
use local_installation::{BrokerPlan, Installation, Plan};
use reqwest::Client;
use serde_json::Value;

use crate::raw::{Reply, talk};

pub(crate) struct House {
    pub(crate) installation: Installation,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    /// The value of `Authorization` with the operator's credentials.
    pub(crate) authorization: String,
    client: Client,
    before: String,
    _database: Database,
}

/// The instance's GUID.
pub(crate) const GUID: &str = "abused";

impl House {
    pub(crate) async fn start() -> Self {
        let database = Database::create().unwrap();
        let plan = Plan::new(database.url())
            .broker(BrokerPlan::static_inventory("inventory", "postgresql"))
            .setting("listen.keep_alive", "5s");
        let mut installation = Installation::prepare(&plan).unwrap();
        installation.start_api().unwrap();
        database.seed_instance("inventory", GUID).unwrap();
        // A connection for each question: one that was kept may be closed by the server just as it is used again.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let (user, password) = (installation.user(), installation.password());
        let request = client.get("http://x").basic_auth(user, Some(password)).build().unwrap();
        let address = |url: String| url.split_once("://").unwrap().1.parse().unwrap();
        let mut house = Self {
            http: address(installation.http_url()),
            https: address(installation.https_url()),
            authorization: request.headers()["authorization"].to_str().unwrap().to_owned(),
            before: String::new(),
            installation,
            client,
            _database: database,
        };
        house.before = house.written().await;
        house
    }

    /// Everything a request could have written.
    async fn written(&self) -> String {
        let mut all = String::new();
        for path in ["/instances", "/instances/abused", "/instances/abused/config", "/v2/queues"] {
            let url = format!("http://{}{path}", self.http);
            let answer = self.client.get(url).header("Authorization", &self.authorization).send().await;
            let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error:?}"));
            assert_eq!(answer.status(), 200, "GET {path}");
            all.push_str(&answer.text().await.unwrap());
        }
        all
    }

    /// The process lives, answers, and holds what it held before.
    pub(crate) async fn is_unharmed_by(&mut self, attempt: &str) {
        assert!(
            self.installation.api.is_running().unwrap(),
            "{attempt}: {}",
            self.installation.api.log_tail(20)
        );
        assert_eq!(self.written().await, self.before, "{attempt} has written something");
        let log = self.installation.api.log();
        assert!(!log.contains("panicked"), "{attempt}: {}", self.installation.api.log_tail(20));
    }

    /// A request with credentials; `Connection: close` unless the headers say otherwise.
    pub(crate) fn request(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head = format!("{line}\r\nHost: x\r\nAuthorization: {}\r\n", self.authorization);
        if !headers.iter().any(|(name, _)| *name == "Connection") {
            head.push_str("Connection: close\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends a body with its length and type; returns the one answer, whose shape is right.
    pub(crate) async fn send(&self, line: &str, kind: &str, body: &[u8]) -> Reply {
        let length = body.len().to_string();
        let headers = [("Content-Type", kind), ("Content-Length", length.as_str())];
        let shown: String = String::from_utf8_lossy(body).chars().take(100).collect();
        self.answer(&format!("{line} {shown:?}"), &self.request(line, &headers, body)).await
    }

    /// Sends bytes that ask for the end of the connection; returns the one answer, whose shape is right.
    pub(crate) async fn answer(&self, attempt: &str, bytes: &[u8]) -> Reply {
        let mut replies = talk(self.http, bytes).await.replies(attempt);
        assert_eq!(replies.len(), 1, "{attempt}: {replies:?}");
        let reply = replies.remove(0);
        has_a_documented_shape(attempt, &reply);
        reply
    }
}

pub(crate) fn has_a_documented_shape(attempt: &str, reply: &Reply) {
    assert!(reply.status < 500 || reply.status == 503, "{attempt}: {reply:?}");
    assert!(reply.header("x-injected").is_none(), "{attempt}: {reply:?}");
    if reply.body.is_empty() {
        assert!([100, 400, 408, 431].contains(&reply.status), "{attempt}: empty {reply:?}");
        return;
    }
    assert_eq!(reply.header("content-type"), Some("application/json"), "{attempt}: {reply:?}");
    assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()), "{attempt}: {reply:?}");
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{attempt}: {reply:?}"));
    if reply.status >= 400 {
        let names: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["description", "error"], "{attempt}: {reply:?}");
        let text = body["description"].as_str().unwrap();
        assert!(!text.chars().any(char::is_control) && text.len() < 1000, "{attempt}: {text:?}");
    }
}
