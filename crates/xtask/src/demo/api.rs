//! The manager's API as the demo uses it.

use std::time::Duration;

use anyhow::{Context, bail};
use local_installation::Installation;
use reqwest::{Certificate, Client, Method};
use serde_json::Value;

/// A client of one running installation.
#[derive(Debug, Clone)]
pub(super) struct Api {
    client: Client,
    http: String,
    https: String,
    user: String,
    password: String,
}

impl Api {
    /// Trusts the installation's own certificate authority and nobody else.
    pub(super) fn new(installation: &Installation) -> anyhow::Result<Self> {
        let authority = std::fs::read(&installation.certificates().authority)?;
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(&authority)?])
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            http: installation.http_url(),
            https: installation.https_url(),
            user: installation.user().to_owned(),
            password: installation.password().to_owned(),
        })
    }

    /// Gets a resource over plain HTTP.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, &self.http, path).await
    }

    /// Posts over HTTPS.
    pub(super) async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::POST, &self.https, path).await
    }

    /// Gets a resource over HTTPS.
    pub(super) async fn get_secure(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, &self.https, path).await
    }

    async fn ask(&self, method: Method, base: &str, path: &str) -> anyhow::Result<Value> {
        let what = format!("{method} {path}");
        let request =
            self.client.request(method, format!("{base}{path}")).basic_auth(&self.user, Some(&self.password));
        let answer = request.send().await.with_context(|| format!("{what} got no answer"))?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| format!("the answer to {what} broke off"))?;
        if !status.is_success() {
            bail!("{what} was answered with {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("the answer to {what} is not JSON: {text}"))
    }
}
