//! Asks a service broker for its instances (spec 2.6), page by page, and accepts a listing only as a whole:
//! an incomplete or contradictory one is an error, so that nobody concludes anything from what is missing.

mod agent_url;
mod error;
mod instance;
mod inventory;
mod listing;
mod page;

use std::time::Duration;

use backup_queue::step_aside;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use agent_url::{AgentUrlError, agent_url, expand_agent_url};
pub use error::BrokerError;
pub use instance::BrokerInstance;
pub use inventory::{InventoryError, parse_inventory};

use super::PATIENCE;
use super::http::{self, BodyError, Connections, HttpLimits, HttpSetupError, TlsOptions, tame};
use listing::Listing;
use page::Page;

/// A listing that changes while it is read is begun anew this often.
const ATTEMPTS: u32 = 3;

/// Where a service broker listens and as whom the manager asks it.
#[derive(Debug, Clone)]
pub struct BrokerEndpoint {
    /// Base URL; `/instances` is appended.
    pub url: Url,
    /// User name of the basic authentication.
    pub user: String,
    /// Its password.
    pub password: SecretString,
}

/// Speaks to one service broker; cheap to clone.
#[derive(Debug, Clone)]
pub struct BrokerClient {
    http: Client,
    endpoint: BrokerEndpoint,
    limits: HttpLimits,
}

impl BrokerClient {
    /// Connecting may take 5 s, a page 60 s and 32 MiB.
    pub const LIMITS: HttpLimits = HttpLimits {
        connect: Duration::from_secs(5),
        total: Duration::from_secs(60),
        max_answer_bytes: 32 * 1024 * 1024,
    };

    /// Builds the client of one configured broker.
    pub fn new(endpoint: BrokerEndpoint, tls: &TlsOptions) -> Result<Self, HttpSetupError> {
        Self::with_limits(endpoint, tls, Self::LIMITS)
    }

    /// As [`BrokerClient::new`], with bounds of the caller's.
    pub fn with_limits(
        endpoint: BrokerEndpoint,
        tls: &TlsOptions,
        limits: HttpLimits,
    ) -> Result<Self, HttpSetupError> {
        Ok(Self { http: http::build(tls, &limits, Connections::Kept)?, endpoint, limits })
    }

    /// Fetches every instance the broker knows, deleted ones included, or nothing at all.
    ///
    /// Instances come and go while the pages are read; a listing that contradicts itself is therefore begun anew a
    /// few times before it is refused with [`BrokerError::Incomplete`].
    pub async fn list_instances(&self) -> Result<Vec<BrokerInstance>, BrokerError> {
        let mut outcome = self.list_once().await;
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Err(BrokerError::Incomplete { .. })) {
                break;
            }
            outcome = self.list_once().await;
        }
        outcome
    }

    async fn list_once(&self) -> Result<Vec<BrokerInstance>, BrokerError> {
        let mut listing = Listing::begin(step_aside(PATIENCE, self.page(1)).await?)?;
        while let Some(number) = listing.next_page() {
            listing.add(step_aside(PATIENCE, self.page(number)).await?)?;
        }
        listing.finish()
    }

    async fn page(&self, number: u32) -> Result<Page, BrokerError> {
        let answer = self
            .http
            .get(self.instances_url(number)?)
            .basic_auth(&self.endpoint.user, Some(self.endpoint.password.expose_secret()))
            .header("X-Broker-API-Version", "2.14")
            .header("Accept", "application/json")
            .send()
            .await
            .map_err(BrokerError::unreachable)?;
        let status = answer.status();
        let body = http::read_bounded(answer, self.limits.max_answer_bytes).await.map_err(|e| match e {
            BodyError::Broken(source) => BrokerError::unreachable(source),
            BodyError::TooLarge => BrokerError::unreadable(number, "it is larger than allowed"),
        })?;
        if status != reqwest::StatusCode::OK {
            let text = String::from_utf8_lossy(&body);
            return Err(BrokerError::Refused { status: status.as_u16(), text: tame(&text) });
        }
        serde_json::from_slice(&body)
            .map_err(|error| BrokerError::unreadable(number, tame(&error.to_string())))
    }

    fn instances_url(&self, page: u32) -> Result<Url, BrokerError> {
        let mut url = self.endpoint.url.clone();
        url.path_segments_mut()
            .map_err(|()| BrokerError::unreadable(page, "the broker's URL cannot have a path"))?
            .pop_if_empty()
            .push("instances");
        url.query_pairs_mut().append_pair("page", &page.to_string());
        Ok(url)
    }
}
