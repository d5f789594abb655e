//! A client that checks, on every answer, what holds for every answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Method, RequestBuilder};
use serde_json::Value;

use crate::shapes;

/// How long an operation may take until it has ended.
const PATIENCE: Duration = Duration::from_secs(300);

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// Speaks to one URL with the operator's credentials.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: String,
    ca: Option<Vec<u8>>,
    http: reqwest::Client,
}

/// A request that is being put together.
pub(crate) struct Call {
    request: RequestBuilder,
    method: Method,
    what: String,
    id: Option<String>,
    credentials: Option<(String, String)>,
}

/// An answer that keeps the general rules.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) what: String,
}

fn builder(ca: Option<&[u8]>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60));
    match ca {
        Some(pem) => builder.add_root_certificate(Certificate::from_pem(pem).unwrap()),
        None => builder,
    }
}

impl Client {
    pub(crate) fn new(url: &str, user: &str, password: &str, ca: Option<&[u8]>) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            ca: ca.map(<[u8]>::to_vec),
            http: builder(ca).build().unwrap(),
        }
    }

    /// The same client, restricted to one version of TLS.
    pub(crate) fn with_tls(&self, version: reqwest::tls::Version) -> Self {
        let http = builder(self.ca.as_deref()).tls_version_min(version).tls_version_max(version);
        Self { http: http.build().unwrap(), ..self.clone() }
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let id = format!("wire-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Call {
            request: self.http.request(method.clone(), format!("{}{path}", self.url)),
            what: format!("{method} {path}"),
            method,
            id: Some(id),
            credentials: Some((self.user.clone(), self.password.clone())),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path).send().await
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path).json(&body).send().await
    }

    /// Asks until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let since = Instant::now();
        while !is_so().await {
            assert!(since.elapsed() < PATIENCE, "still not so: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The backup or restore at this path once it has ended.
    pub(crate) async fn ended(&self, path: &str) -> Value {
        self.reached(path, &["done", "failed", "deleted"]).await
    }

    /// The backup or restore at this path once it has one of these statuses.
    pub(crate) async fn reached(&self, path: &str, statuses: &[&str]) -> Value {
        let found = std::sync::Mutex::new(Value::Null);
        self.until(&format!("{path} is {}", statuses.join(" or ")), async || {
            let object = self.get(path).await.json(200);
            let is_there = statuses.contains(&object["status"].as_str().unwrap());
            *found.lock().unwrap() = object;
            is_there
        })
        .await;
        found.into_inner().unwrap()
    }

    /// Makes a backup and waits until it is done.
    pub(crate) async fn done_backup(&self, instance: &str) -> Value {
        let made = self.post(&format!("/instances/{instance}/backups")).send().await.json(201);
        let backup = self.ended(&format!("/instances/{instance}/backups/{}", made["id"])).await;
        assert_eq!(backup["status"], "done", "the agent of {instance} has to work: {backup}");
        backup
    }
}

impl Call {
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    pub(crate) fn form(self, body: &str) -> Self {
        self.body("application/x-www-form-urlencoded", body.to_owned())
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.header("Content-Type", kind).body(body);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.credentials = None;
        self
    }

    /// Leaves it to the API to give the request an id.
    pub(crate) fn without_id(mut self) -> Self {
        self.id = None;
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let mut request = self.request;
        if let Some((user, password)) = &self.credentials {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(id) = &self.id {
            request = request.header("X-Request-Id", id);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{}: {error:?}", self.what));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap_or_else(|error| panic!("{}: {error:?}", self.what)).to_vec();
        let answer = Answer { status, headers, body, what: self.what };
        answer.keeps_the_rules(self.id.as_deref(), self.method == Method::HEAD);
        answer
    }
}

impl Answer {
    /// Every answer carries the request's id; errors have the one shape; times have the one form.
    fn keeps_the_rules(&self, id: Option<&str>, is_head: bool) {
        let found = self.header("x-request-id");
        assert!(!found.is_empty(), "{self}: X-Request-Id is empty");
        assert!(id.is_none_or(|id| id == found), "{self}: X-Request-Id is {found}, not {id:?}");
        let kind = self.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        let is_error = self.status >= 400;
        if is_head || (kind == "application/octet-stream" && !is_error) {
            return;
        }
        assert_eq!(kind.split(';').next(), Some("application/json"), "{self}");
        let body = self.value();
        shapes::check_times(&body, &self.what);
        if is_error {
            shapes::check_error(&body, &self.what);
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("{self}: there is no {name}"));
        value.to_str().unwrap()
    }

    fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// The body of an answer with this status.
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        self.value()
    }

    /// The description of an error with this status and word.
    pub(crate) fn error(&self, status: u16, word: &str) -> String {
        let body = self.json(status);
        assert_eq!(body["error"], word, "{self}");
        body["description"].as_str().unwrap().to_owned()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(500).collect();
        write!(f, "{} answered {} {body}", self.what, self.status)
    }
}
