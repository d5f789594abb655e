//! The client the end-to-end tests speak to the API with: it knows URLs and JSON, and nothing of our crates.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// How long the tests wait for what takes a second on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A client of the API with one user's credentials.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    user: String,
    password: String,
}

impl Client {
    /// Speaks to the API at `url`; nothing is sent yet.
    ///
    /// # Errors
    /// When the HTTP library cannot be set up.
    pub fn new(url: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { http, url: url.to_owned(), user: user.to_owned(), password: password.to_owned() })
    }

    /// Sends a request; returns status and JSON body (`null` when there is none).
    ///
    /// # Errors
    /// When there is no answer, or one that is not JSON.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .basic_auth(&self.user, Some(&self.password));
        if let Some(body) = body.filter(|body| !body.is_null()) {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).with_context(|| text.clone())?
        };
        Ok((status, body))
    }

    /// The body of a `GET` that must succeed.
    ///
    /// # Errors
    /// With the body of any other answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        match self.send(Method::GET, path, None).await? {
            (status, body) if status.is_success() => Ok(body),
            (status, body) => bail!("GET {path}: {status} {body}"),
        }
    }

    /// The body of a `POST` that must succeed.
    ///
    /// # Errors
    /// With the body of any other answer.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        match self.send(Method::POST, path, Some(body)).await? {
            (status, body) if status.is_success() => Ok(body),
            (status, body) => bail!("POST {path}: {status} {body}"),
        }
    }

    /// Asks for `path` until `is_met` says yes; an API that is down for a moment is asked again.
    ///
    /// # Errors
    /// With the last answer, after [`PATIENCE`].
    pub async fn wait(&self, path: &str, is_met: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let since = Instant::now();
        loop {
            let answer = self.get(path).await;
            match answer {
                Ok(body) if is_met(&body) => return Ok(body),
                last if since.elapsed() > PATIENCE => bail!("{path} is still {last:?}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Requests a backup; returns its number.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn request_backup(&self, instance: &str) -> anyhow::Result<i64> {
        let answer = self.post(&format!("/instances/{instance}/backups"), Value::Null).await?;
        answer.get("id").and_then(Value::as_i64).context("no id")
    }

    /// Waits until a backup is `done` or `failed`.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended_backup(&self, instance: &str, id: i64) -> anyhow::Result<Value> {
        self.wait(&format!("/instances/{instance}/backups/{id}"), has_ended).await
    }

    /// Requests a restore and waits until it is `done` or `failed`.
    ///
    /// # Errors
    /// When the API refuses, or it does not end in time.
    pub async fn restore(&self, instance: &str, backup: i64) -> anyhow::Result<Value> {
        let answer =
            self.post(&format!("/instances/{instance}/backups/{backup}/restore"), Value::Null).await?;
        let id = answer.get("id").and_then(Value::as_i64).context("no id")?;
        self.wait(&format!("/instances/{instance}/restores/{id}"), has_ended).await
    }
}

/// Whether a backup or restore object has reached a terminal status.
#[must_use]
pub fn has_ended(object: &Value) -> bool {
    matches!(object["status"].as_str(), Some("done" | "failed" | "deleted"))
}
