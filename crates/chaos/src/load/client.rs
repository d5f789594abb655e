//! The load's way to the API: as through a load balancer, one of several daemons is asked, and another one when the first
//! gives no answer. Counts what it meets, so that the availability of the API can be told afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

/// How long one daemon is waited for.
const PATIENCE: Duration = Duration::from_secs(6);

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// An answer that is no failure of a server.
    Answer(u16, Value),
    /// No usable answer: nobody knows whether the request was carried out.
    Doubt(String),
}

/// What was met.
#[derive(Debug, Default)]
pub struct Meter {
    /// Calls.
    pub calls: AtomicU64,
    /// Calls that some daemon answered properly.
    pub answered: AtomicU64,
    /// Single tries that ended with a status from 500 on.
    pub refused: AtomicU64,
    /// Single tries that ended without an answer.
    pub silent: AtomicU64,
}

/// A client with the operator's credentials; clones share the connections and the counts.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    urls: Arc<Vec<String>>,
    next: Arc<AtomicUsize>,
    user: String,
    password: String,
    /// The counts.
    pub meter: Arc<Meter>,
}

impl Client {
    /// Talks to the daemons at these URLs.
    ///
    /// # Errors
    /// When the HTTP library cannot be set up.
    pub fn new(urls: Vec<String>, user: &str, password: &str) -> anyhow::Result<Self> {
        let http =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().context("no HTTP client")?;
        Ok(Self {
            http,
            urls: Arc::new(urls),
            next: Arc::default(),
            user: user.to_owned(),
            password: password.to_owned(),
            meter: Arc::default(),
        })
    }

    /// Asks one daemon, and each of the others after a failure; for requests that may be repeated.
    pub async fn call(&self, method: Method, path: &str, key: Option<&str>) -> Reply {
        self.send(&method, path, key, None, self.urls.len()).await
    }

    /// Asks one daemon once; for requests that mean something else the second time.
    pub async fn call_once(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.send(&method, path, None, body, 1).await
    }

    /// The body of a `GET` that is answered with 200.
    pub async fn get(&self, path: &str) -> Option<Value> {
        match self.call(Method::GET, path, None).await {
            Reply::Answer(200, body) => Some(body),
            _ => None,
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
        tries: usize,
    ) -> Reply {
        self.meter.calls.fetch_add(1, Ordering::Relaxed);
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last = Reply::Doubt("there is no daemon".into());
        for offset in 0..tries {
            let index = first.wrapping_add(offset) % self.urls.len().max(1);
            let Some(url) = self.urls.get(index) else { break };
            last = self.try_one(method, &format!("{url}{path}"), key, body.as_ref()).await;
            if matches!(last, Reply::Answer(..)) {
                self.meter.answered.fetch_add(1, Ordering::Relaxed);
                return last;
            }
        }
        last
    }

    async fn try_one(&self, method: &Method, url: &str, key: Option<&str>, body: Option<&Value>) -> Reply {
        let mut request = self.http.request(method.clone(), url).basic_auth(&self.user, Some(&self.password));
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answered = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        match answered.await {
            Ok((status, text)) if status >= 500 => {
                self.meter.refused.fetch_add(1, Ordering::Relaxed);
                Reply::Doubt(format!("{status} {text}"))
            }
            Ok((status, text)) if text.is_empty() => Reply::Answer(status, Value::Null),
            Ok((status, text)) => match serde_json::from_str(&text) {
                Ok(body) => Reply::Answer(status, body),
                Err(_) => Reply::Doubt(format!("{status} and no JSON")),
            },
            Err(error) => {
                self.meter.silent.fetch_add(1, Ordering::Relaxed);
                Reply::Doubt(error.to_string())
            }
        }
    }
}
