//! RabbitMQ's HTTP API. Drivers may block, so each call waits for its answer, but not longer than the session lasts.

use std::time::Duration;

use reqwest::{Certificate, Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::RabbitmqSettings;
use crate::drivers::{DriverError, Trouble};
use crate::session::{Session, redact};

/// An import of many definitions takes its time.
const PATIENCE: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(10);

/// The management plugin and who we are to it.
pub(super) struct Api {
    client: Client,
    url: String,
    user: String,
    password: SecretString,
}

impl Api {
    pub(super) fn open(settings: &RabbitmqSettings) -> Result<Self, DriverError> {
        backup_daemon::tls::install_provider();
        // Each call has a runtime of its own, which no connection outlives.
        let mut builder =
            Client::builder().connect_timeout(CONNECT).timeout(PATIENCE).pool_max_idle_per_host(0);
        if let Some(path) = &settings.ca_path {
            let unusable = |e: &dyn std::fmt::Display| {
                DriverError::data_service(format!("{} cannot be used: {e}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|e| unusable(&e))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|e| unusable(&e))?;
            builder = builder.tls_certs_only(authorities);
        }
        let failed = |e| DriverError::data_service(format!("no HTTP client can be made: {e}"));
        Ok(Self {
            client: builder.build().map_err(failed)?,
            url: settings.url.trim_end_matches('/').to_owned(),
            user: settings.user.clone(),
            password: settings.password.clone(),
        })
    }

    /// The user of all calls.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn version(&self, session: &Session) -> Result<String, DriverError> {
        let overview = self.get(session, "overview")?;
        let version = overview.get("rabbitmq_version").and_then(Value::as_str);
        let unclear = || DriverError::data_service(format!("{} does not tell RabbitMQ's version", self.url));
        version.map(str::to_owned).ok_or_else(unclear)
    }

    pub(super) fn get(&self, session: &Session, path: &str) -> Result<Value, DriverError> {
        self.call(session, Method::GET, path, None).map(Option::unwrap_or_default)
    }

    pub(super) fn post(&self, session: &Session, path: &str, body: &Value) -> Result<(), DriverError> {
        self.call(session, Method::POST, path, Some(body)).map(drop)
    }

    pub(super) fn put(&self, session: &Session, path: &str, body: &Value) -> Result<(), DriverError> {
        self.call(session, Method::PUT, path, Some(body)).map(drop)
    }

    /// Deletes what may be gone already.
    pub(super) fn delete(&self, session: &Session, path: &str) -> Result<(), DriverError> {
        self.call(session, Method::DELETE, path, None).map(drop)
    }

    /// None: there is no such thing, which only a `DELETE` may find.
    fn call(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, DriverError> {
        session.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| DriverError::data_service(format!("no runtime: {e}")))?;
        let url = format!("{}/api/{path}", self.url);
        let mut request = self.client.request(method.clone(), url);
        request = request.basic_auth(&self.user, Some(self.password.expose_secret()));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answered = runtime.block_on(async {
            let answer = async {
                let answer = request.send().await?;
                Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
            };
            tokio::select! {
                answered = answer => Some(answered),
                () = session.wait_until_stopped() => None,
            }
        });
        let (status, bytes) = answered.ok_or(DriverError::Stopped)?.map_err(|e| self.unreachable(&e))?;
        if status == StatusCode::NOT_FOUND && method == Method::DELETE {
            return Ok(None);
        }
        if status.is_success() {
            return Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default()));
        }
        Err(self.refused(&method, path, status, &bytes))
    }

    fn refused(&self, method: &Method, path: &str, status: StatusCode, bytes: &[u8]) -> DriverError {
        // Definitions have passwords in them, those of shovels and federations too. Masked before it is cut.
        let secrets = [self.password.expose_secret().to_owned()];
        let text = redact(String::from_utf8_lossy(bytes).trim(), &secrets);
        let text: String = text.chars().take(500).collect();
        let message = format!("RabbitMQ at {} answers {status} to {method} {path}: {text}", self.url);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                DriverError::of(Trouble::AccessDenied, message)
            }
            StatusCode::NOT_FOUND => DriverError::data_service(format!(
                "{message} (is this the address of the plugin rabbitmq_management?)"
            )),
            StatusCode::SERVICE_UNAVAILABLE => DriverError::of(Trouble::Unreachable, message),
            _ => DriverError::of(Trouble::Failed, message),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> DriverError {
        // The cause says more than the error itself, which repeats the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let message = format!("RabbitMQ's HTTP API at {} cannot be reached: {cause}", self.url);
        DriverError::of(Trouble::Unreachable, message)
    }
}

/// A name as one part of a path.
pub(super) fn encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            // A part that is nothing but dots would be taken for a way through the path.
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
