//! Where a backup agent listens and how the manager proves itself to it.

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::AgentError;

/// The credential of one agent; never printed.
#[derive(Debug, Clone)]
pub enum AgentCredential {
    /// HTTP basic authentication.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// A bearer token.
    Bearer(SecretString),
}

/// One backup agent.
#[derive(Debug, Clone)]
pub struct AgentEndpoint {
    url: Url,
    credential: AgentCredential,
}

impl AgentEndpoint {
    /// Names an agent by its base URL; whatever user information the URL carries is dropped.
    #[must_use]
    pub fn new(mut url: Url, credential: AgentCredential) -> Self {
        // Both fail only for URLs that cannot carry user information, which is what is wanted here.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        Self { url, credential }
    }

    /// The base URL, free of secrets.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn info_url(&self) -> Result<Url, AgentError> {
        self.below(&["v1", "info"])
    }

    pub(super) fn pitr_url(&self) -> Result<Url, AgentError> {
        self.below(&["v1", "pitr"])
    }

    pub(super) fn operations_url(&self, after: Option<&str>) -> Result<Url, AgentError> {
        let mut url = self.below(&["v1", "operations"])?;
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        Ok(url)
    }

    pub(super) fn operation_url(&self, kind: &str, id: &str) -> Result<Url, AgentError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
            return Err(AgentError::protocol(format!("{id:?} cannot be an operation id")));
        }
        self.below(&["v1", kind, id])
    }

    pub(super) fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credential {
            AgentCredential::Basic { user, password } => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
            AgentCredential::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }

    fn below(&self, segments: &[&str]) -> Result<Url, AgentError> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| AgentError::protocol("the agent's URL cannot have a path"))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> AgentEndpoint {
        let credential = AgentCredential::Bearer(SecretString::from("t0ken"));
        AgentEndpoint::new(Url::parse(url).unwrap(), credential)
    }

    #[test]
    fn a_path_in_the_base_url_is_kept_and_user_information_is_dropped() {
        let url = endpoint("https://u:p@agent.example:9443/behind/").operation_url("backups", "a-1").unwrap();
        assert_eq!(url.as_str(), "https://agent.example:9443/behind/v1/backups/a-1");
    }

    #[test]
    fn an_id_that_could_leave_its_path_is_refused() {
        for id in ["", "..", ".hidden", "a/b", "a?b", "a b", "ä"] {
            assert!(endpoint("http://a").operation_url("backups", id).is_err(), "{id}");
        }
    }

    #[test]
    fn debug_output_hides_the_credential() {
        assert!(!format!("{:?}", endpoint("http://a")).contains("t0ken"));
    }
}
