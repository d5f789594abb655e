//! Requests to the agent. Every answer is compared with the documentation.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::documented::Documented;
use crate::target::{Credential, Target};

/// More than the agent needs to stop an operation (ten seconds).
const PATIENCE: Duration = Duration::from_secs(30);

/// Talks to one agent.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    documented: Documented,
}

/// An answer of the agent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

/// What is shown in the header `Authorization`.
pub(crate) enum Shown<'a> {
    /// The right credential.
    Right(&'a Credential),
    /// A wrong one of the same kind.
    Wrong(&'a Credential),
    /// None.
    Nothing,
}

impl Client {
    pub(crate) fn new(target: &Target) -> anyhow::Result<Self> {
        let mut builder =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &target.authority {
            let authority =
                reqwest::Certificate::from_pem(pem).context("the authority is no PEM certificate")?;
            builder = builder.tls_certs_merge([authority]);
        }
        let http = builder.build().context("the HTTP client cannot be made")?;
        let url = target.url.trim_end_matches('/').to_owned();
        Ok(Self { http, url, documented: Documented::load()? })
    }

    /// Sends a request with a text as its body.
    pub(crate) async fn send(
        &self,
        shown: Shown<'_>,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Answer> {
        let request = self.http.request(method.clone(), format!("{}{path}", self.url));
        let mut request = authorised(request, shown);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path} was not answered"))?;
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
        let status = answer.status().as_u16();
        let text = answer.text().await.with_context(|| format!("the answer to {method} {path} broke off"))?;
        if !content_type.starts_with("application/json") {
            bail!("{method} {path} answered {status} with the content type `{content_type}`, not JSON");
        }
        let body: Value = serde_json::from_str(&text)
            .with_context(|| format!("{method} {path} answered {status} with a body that is no JSON"))?;
        self.documented.check(method.as_str(), path, status, &body)?;
        Ok(Answer { status, retry_after, body })
    }
}

fn authorised(request: RequestBuilder, shown: Shown<'_>) -> RequestBuilder {
    match shown {
        Shown::Nothing => request,
        Shown::Right(Credential::Basic { user, password }) => {
            request.basic_auth(user, Some(password.expose_secret()))
        }
        Shown::Right(Credential::Bearer(token)) => request.bearer_auth(token.expose_secret()),
        Shown::Wrong(Credential::Basic { user, .. }) => request.basic_auth(user, Some("surely-wrong")),
        Shown::Wrong(Credential::Bearer(_)) => request.bearer_auth("surely-wrong"),
    }
}

impl Answer {
    /// A text of the body by its key; empty when there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.body.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number of the body by its key.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        self.body.get(key).and_then(Value::as_i64)
    }

    /// `error.code` of an operation.
    pub(crate) fn code(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }

    /// What is told of it when it is not the expected one.
    pub(crate) fn shown(&self) -> String {
        let body: String = self.body.to_string().chars().take(300).collect();
        format!("{} {body}", self.status)
    }

    /// # Errors
    /// Unless this is the status, and the word of the refusal or the state of the operation.
    pub(crate) fn expect(&self, what: &str, status: u16, word: &str) -> anyhow::Result<()> {
        let found = if self.status < 300 { self.text("state") } else { self.text("error") };
        if self.status != status || (!word.is_empty() && found != word) {
            bail!("{what}: expected {status} {word}, got {}", self.shown());
        }
        Ok(())
    }
}
