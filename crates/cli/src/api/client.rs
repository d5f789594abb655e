//! Sends requests to the manager and turns every bad answer into an [`Error`].

use std::time::Duration;

use reqwest::header::{HeaderMap, LINK, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::error::Error;
use crate::settings::{Credentials, Settings};

/// A JSON answer may take this long; a download has no such bound, only one on silence.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
const INSTANCES_PER_PAGE: &str = "200";

/// Speaks to one manager.
#[derive(Debug)]
pub struct ApiClient {
    http: Client,
    url: Url,
    credentials: Credentials,
}

impl ApiClient {
    /// Builds the client; connects to nothing yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("backupctl/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(SILENCE_TIMEOUT);
        if let Some(pem) = &settings.ca_pem {
            let authorities = Certificate::from_pem_bundle(pem)
                .map_err(|error| Error::Usage(format!("the CA file is not valid PEM: {error}")))?;
            if authorities.is_empty() {
                return Err(Error::Usage("the CA file contains no certificate".into()));
            }
            builder = builder.tls_certs_only(authorities);
        } else if settings.url.scheme() == "http" {
            // Plain HTTP must also work on hosts that have no certificates installed.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| Error::Local(chain(&error)))?;
        Ok(Self { http, url: settings.url, credentials: settings.credentials })
    }

    /// `GET`, with query parameters.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Error> {
        self.json(self.request(Method::GET, path)?.query(query)).await
    }

    /// A request with a JSON body.
    pub async fn send(&self, method: Method, path: &[&str], body: &Value) -> Result<Value, Error> {
        self.json(self.request(method, path)?.json(body)).await
    }

    /// A `POST` that may be repeated without harm: the same key gets the same answer.
    pub async fn post_idempotently(&self, path: &[&str], key: &str) -> Result<Value, Error> {
        self.json(
            self.request(Method::POST, path)?
                .header("Idempotency-Key", key)
                .json(&Value::Object(serde_json::Map::new())),
        )
        .await
    }

    /// A `DELETE`.
    pub async fn delete(&self, path: &[&str]) -> Result<Value, Error> {
        self.json(self.request(Method::DELETE, path)?).await
    }

    /// All service instances, fetched page by page.
    pub async fn instances(&self) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        let mut page: u32 = 1;
        loop {
            let number = page.to_string();
            let query = [("page", number.as_str()), ("per_page", INSTANCES_PER_PAGE)];
            let request = self.request(Method::GET, &["instances"])?.query(&query).timeout(ANSWER_TIMEOUT);
            let answer = self.accepted(request).await?;
            let has_more = has_next(answer.headers());
            match self.body(answer).await? {
                Value::Array(instances) => all.extend(instances),
                _ => return Err(Error::Answer("a list of instances was expected".into())),
            }
            if !has_more {
                return Ok(all);
            }
            page = page.saturating_add(1);
        }
    }

    /// Opens the stream of a backup's stored bytes, from byte `from` on.
    pub async fn download(&self, instance: &str, id: &str, from: u64) -> Result<Response, Error> {
        let mut request = self.request(Method::GET, &["instances", instance, "backups", id, "download"])?;
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        self.accepted(request).await
    }

    /// `GET /v2/healthy`: whether the manager calls itself healthy, and what it says.
    pub async fn health(&self) -> Result<(bool, Value), Error> {
        let request = self.anonymous(Method::GET, &["v2", "healthy"])?.timeout(ANSWER_TIMEOUT);
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.unreachable(error))?;
        match serde_json::from_str(&text) {
            Ok(said) if status.is_success() || status.as_u16() == 503 => Ok((status.is_success(), said)),
            _ if matches!(status.as_u16(), 502..=504) => Err(Error::Unhealthy),
            _ => Err(bad_answer(status.as_u16(), &text)),
        }
    }

    /// An error of the connection, in words and without secrets.
    pub(crate) fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { url: self.url.to_string(), reason: chain(&error.without_url()) }
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value, Error> {
        let answer = self.accepted(request.timeout(ANSWER_TIMEOUT)).await?;
        self.body(answer).await
    }

    async fn body(&self, answer: Response) -> Result<Value, Error> {
        let text = answer.text().await.map_err(|error| self.unreachable(error))?;
        serde_json::from_str(&text).map_err(|error| Error::Answer(error.to_string()))
    }

    async fn accepted(&self, request: RequestBuilder) -> Result<Response, Error> {
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        Err(bad_answer(status.as_u16(), &text))
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Error> {
        // An issuer's token is accepted below /v1 only, where the paths of backups and restores exist a second time.
        let twin = match (&self.credentials, path) {
            (Credentials::Token(_), ["instances", _, "backups" | "restores", ..]) => Some("v1"),
            _ => None,
        };
        let path: Vec<&str> = twin.into_iter().chain(path.iter().copied()).collect();
        let request = self.anonymous(method, &path)?;
        Ok(match &self.credentials {
            Credentials::Password { user, password } => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
            Credentials::Token(token) => request.bearer_auth(token.expose_secret()),
        })
    }

    fn anonymous(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Error> {
        let mut url = self.url.clone();
        if let Some(bad) = path.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
            return Err(Error::Usage(format!("{bad:?} is not the GUID of a service instance")));
        }
        url.path_segments_mut()
            .map_err(|()| Error::Usage("the URL of the manager cannot have a path".into()))?
            .pop_if_empty()
            .extend(path);
        Ok(self.http.request(method, url))
    }
}

fn bad_answer(status: u16, text: &str) -> Error {
    #[derive(serde::Deserialize)]
    struct Said {
        error: String,
        description: String,
    }
    match serde_json::from_str::<Said>(text) {
        Ok(said) => Error::Api { status, word: said.error, description: said.description },
        // Not the manager's form: something between us and the manager has answered.
        Err(_) => Error::Api {
            status,
            word: String::new(),
            description: "the answer does not come from a backup manager; is --url right?".into(),
        },
    }
}

fn has_next(headers: &HeaderMap) -> bool {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).any(|link| {
        link.split(';').skip(1).any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"))
    })
}

/// An error with its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_header_tells_whether_there_is_more() {
        let has_more = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, value.parse().unwrap());
            has_next(&headers)
        };
        assert!(has_more(r#"</instances?page=1>; rel="prev", </instances?page=3>; rel="next""#));
        assert!(!has_more(r#"</instances?page=1>; rel="prev""#));
        assert!(!has_next(&HeaderMap::new()));
    }

    #[test]
    fn an_answer_of_something_else_is_not_quoted() {
        let error = bad_answer(502, "<html><h1>Bad Gateway</h1></html>");
        assert_eq!(error.exit_code(), 69);
        assert!(!error.to_string().contains("html"));
    }
}
