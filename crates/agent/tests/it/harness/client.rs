//! A manager's side of the protocol.

use std::time::{Duration, Instant};

use backup_protocol::{OperationState, OperationStatus};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "correct horse battery staple";

/// Status and body of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn operation(&self) -> OperationStatus {
        serde_json::from_value(self.body.clone()).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// Status and error word of a refusal.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"].as_str().unwrap_or("none"))
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), http: reqwest::Client::new() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn is_up(&self) -> bool {
        self.http.get(format!("{}/v1/info", self.url)).send().await.is_ok()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let mut request = request.basic_auth("manager", Some("agent-password"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let retry_after = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        Answer { status, retry_after, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    /// The body of a backup request.
    pub(crate) fn backup_body() -> Value {
        json!({
            "epoch": 1,
            "store": "main",
            "object_prefix": "prefix/guid",
            "instance": {"guid": "instance-guid", "data_service": "files"},
            "encryption": {"scheme": "age", "key": KEY, "key_id": "key-1", "key_envelope": "1.sealed.by-the-manager"},
            "compression": {"scheme": "zstd", "level": 3},
            "deadline": chrono::Utc::now() + chrono::TimeDelta::hours(1),
            "part_size_limit": 5_368_709_120_u64,
        })
    }

    /// The body that restores a finished backup.
    pub(crate) fn restore_body(backup: &OperationStatus) -> Value {
        json!({
            "epoch": 1,
            "backup_id": backup.id,
            "store": "main",
            "object_prefix": "prefix/guid",
            "checksum": backup.checksum.clone().unwrap_or_default(),
            "encryption": {"scheme": "age", "key": KEY, "key_id": "key-1"},
            "deadline": chrono::Utc::now() + chrono::TimeDelta::hours(1),
        })
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Waits until an operation is no longer running.
    pub(crate) async fn ended(&self, path: &str) -> OperationStatus {
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            let status = self.get(path).await.operation();
            if status.state != OperationState::Running {
                return status;
            }
            assert!(Instant::now() < patience, "still running: {status:?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until a condition on the running operation holds.
    pub(crate) async fn running_until(&self, path: &str, condition: impl Fn(&OperationStatus) -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.get(path).await.operation();
            assert_eq!(status.state, OperationState::Running, "{status:?}");
            if condition(&status) {
                return;
            }
            assert!(Instant::now() < patience, "{status:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Makes a backup with changes to the usual body.
    pub(crate) async fn backup_with(&self, id: &str, changes: Value) -> OperationStatus {
        let path = format!("/v1/backups/{id}");
        let answer = self.put(&path, merged(Self::backup_body(), changes)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        self.ended(&path).await
    }

    /// Makes a backup that must succeed.
    pub(crate) async fn backup(&self, id: &str) -> OperationStatus {
        let status = self.backup_with(id, json!({})).await;
        assert_eq!(status.state, OperationState::Done, "{status:?}");
        status
    }

    /// Restores a backup, with changes to the usual body.
    pub(crate) async fn restore_with(
        &self,
        id: &str,
        backup: &OperationStatus,
        changes: Value,
    ) -> OperationStatus {
        let path = format!("/v1/restores/{id}");
        let answer = self.put(&path, merged(Self::restore_body(backup), changes)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        self.ended(&path).await
    }

    /// Rehearses a backup to its end.
    pub(crate) async fn rehearse(&self, id: &str, backup: &OperationStatus) -> OperationStatus {
        let path = format!("/v1/rehearsals/{id}");
        let answer = self.put(&path, Self::restore_body(backup)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        self.ended(&path).await
    }

    /// Restores a backup, which must succeed.
    pub(crate) async fn restore(&self, id: &str, backup: &OperationStatus) -> OperationStatus {
        let status = self.restore_with(id, backup, json!({})).await;
        assert_eq!(status.state, OperationState::Done, "{status:?}");
        status
    }
}

pub(crate) fn merged(mut body: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}
