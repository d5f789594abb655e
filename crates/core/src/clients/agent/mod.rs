//! Talks to the backup agent of one service instance (spec 3.1). Knows the words and the bounds; decides nothing.
//! What may be in an answer is judged in `answer`, what went wrong is named in [`AgentError`].

mod answer;
mod endpoint;
mod error;

use std::time::Duration;

use backup_protocol::{
    AgentInfo, ListedOperation, OperationStatus, PitrReport, StartBackup, StartRehearsal, StartRestore,
    StopOrder,
};
use backup_queue::step_aside;
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use url::Url;

pub use endpoint::{AgentCredential, AgentEndpoint};
pub use error::AgentError;

pub use crate::domain::operation::OperationKind;

use super::PATIENCE;
use super::http::{self, BodyError, Connections, HttpLimits, HttpSetupError, TlsOptions};

/// Of agents that can rehearse a backup.
const REHEARSE: &str = "rehearse";

/// More than an agent of ours keeps.
const MOST_PAGES: usize = 50;

/// Speaks to all agents of one service broker's instances; cheap to clone.
#[derive(Debug, Clone)]
pub struct AgentClient {
    http: Client,
    limits: HttpLimits,
}

impl AgentClient {
    /// Connecting may take 5 s, a whole exchange 30 s, an answer 4 MiB.
    pub const LIMITS: HttpLimits = HttpLimits {
        connect: Duration::from_secs(5),
        total: Duration::from_secs(30),
        max_answer_bytes: 4 * 1024 * 1024,
    };

    /// Builds the client once for a service broker's configuration.
    pub fn new(tls: &TlsOptions) -> Result<Self, HttpSetupError> {
        Self::with_limits(tls, Self::LIMITS)
    }

    /// As [`AgentClient::new`], with bounds of the caller's.
    pub fn with_limits(tls: &TlsOptions, limits: HttpLimits) -> Result<Self, HttpSetupError> {
        Ok(Self { http: http::build(tls, &limits, Connections::Closed)?, limits })
    }

    /// Asks who the agent is and what it can do.
    pub async fn info(&self, agent: &AgentEndpoint) -> Result<AgentInfo, AgentError> {
        let (status, body) = self.exchange(agent, Method::GET, agent.info_url()?, None::<&()>).await?;
        match status {
            StatusCode::OK => answer::parse(&body),
            other => Err(error::refusal(other, None, &body)),
        }
    }

    /// Starts a backup, or learns the state of the one that was started under this id before.
    pub async fn start_backup(
        &self,
        agent: &AgentEndpoint,
        id: &str,
        request: &StartBackup,
    ) -> Result<OperationStatus, AgentError> {
        self.start(agent, OperationKind::Backup, id, request).await
    }

    /// Starts a restore, or learns the state of the one that was started under this id before.
    pub async fn start_restore(
        &self,
        agent: &AgentEndpoint,
        id: &str,
        request: &StartRestore,
    ) -> Result<OperationStatus, AgentError> {
        self.start(agent, OperationKind::Restore, id, request).await
    }

    /// Starts a rehearsal, or learns the state of the one that was started under this id before. None: the agent cannot
    /// rehearse. It is asked first, because one that knows nothing of rehearsals answers as if it lacked something else.
    pub async fn start_rehearsal(
        &self,
        agent: &AgentEndpoint,
        id: &str,
        request: &StartRehearsal,
    ) -> Result<Option<OperationStatus>, AgentError> {
        if !self.info(agent).await?.capabilities.iter().any(|capability| capability == REHEARSE) {
            return Ok(None);
        }
        self.start(agent, OperationKind::Rehearsal, id, request).await.map(Some)
    }

    /// Asks where an operation stands; none when the agent has never heard of it.
    pub async fn status(
        &self,
        agent: &AgentEndpoint,
        kind: OperationKind,
        id: &str,
    ) -> Result<Option<OperationStatus>, AgentError> {
        self.known(agent, Method::GET, agent.operation_url(segment(kind), id)?, id).await
    }

    /// Asks the agent to cancel an operation and to remove what it left behind; none when it has never heard of it, and
    /// does not remember the order.
    pub async fn cancel(
        &self,
        agent: &AgentEndpoint,
        kind: OperationKind,
        id: &str,
        order: StopOrder,
    ) -> Result<Option<OperationStatus>, AgentError> {
        let mut url = agent.operation_url(segment(kind), id)?;
        if let Some(epoch) = order.epoch {
            url.query_pairs_mut().append_pair("epoch", &epoch.to_string());
        }
        if order.unless_begun {
            url.query_pairs_mut().append_pair("unless_begun", "true");
        }
        self.known(agent, Method::DELETE, url, id).await
    }

    /// Reads the agent's whole journal; none when the agent does not offer it.
    ///
    /// # Errors
    /// A journal that contradicts itself, does not end, or cannot be read to its end is no journal.
    pub async fn journal(&self, agent: &AgentEndpoint) -> Result<Option<Vec<ListedOperation>>, AgentError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let url = agent.operations_url(after.as_deref())?;
            let (status, body) = self.exchange(agent, Method::GET, url, None::<&()>).await?;
            let page = match status {
                StatusCode::OK => answer::operations(after.as_deref(), &body)?,
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if after.is_none() => return Ok(None),
                other => return Err(error::refusal(other, None, &body)),
            };
            all.extend(page.operations);
            if page.next.is_none() {
                return Ok(Some(all));
            }
            after = page.next;
        }
        Err(AgentError::protocol("the journal does not end"))
    }

    /// Asks to which moments the data service can be restored; none when the agent archives no log.
    pub async fn windows(&self, agent: &AgentEndpoint) -> Result<Option<PitrReport>, AgentError> {
        let (status, body) = self.exchange(agent, Method::GET, agent.pitr_url()?, None::<&()>).await?;
        match status {
            StatusCode::OK => answer::parse(&body).map(Some),
            StatusCode::NOT_FOUND => answer::never_heard(&body).map(|()| None),
            other => Err(error::refusal(other, None, &body)),
        }
    }

    async fn start(
        &self,
        agent: &AgentEndpoint,
        kind: OperationKind,
        id: &str,
        request: &impl Serialize,
    ) -> Result<OperationStatus, AgentError> {
        let url = agent.operation_url(segment(kind), id)?;
        let (status, body) = self.exchange(agent, Method::PUT, url, Some(request)).await?;
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => answer::operation(id, &body),
            other => Err(error::refusal(other, None, &body)),
        }
    }

    async fn known(
        &self,
        agent: &AgentEndpoint,
        method: Method,
        url: Url,
        id: &str,
    ) -> Result<Option<OperationStatus>, AgentError> {
        let (status, body) = self.exchange(agent, method, url, None::<&()>).await?;
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => answer::operation(id, &body).map(Some),
            // A proxy's or a wrong server's 404 must not pass for "never heard of it": that would fail a healthy backup.
            StatusCode::NOT_FOUND => answer::never_heard(&body).map(|()| None),
            other => Err(error::refusal(other, None, &body)),
        }
    }

    /// Exchanges one request for an answer; one that does not come soon holds up no other job of the worker.
    async fn exchange(
        &self,
        agent: &AgentEndpoint,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, Vec<u8>), AgentError> {
        step_aside(PATIENCE, self.send(agent, method, url, body)).await
    }

    /// Sends one request and returns the status and the bounded body; a 429 becomes [`AgentError::Busy`] here,
    /// where its header is at hand.
    async fn send(
        &self,
        agent: &AgentEndpoint,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, Vec<u8>), AgentError> {
        let mut request = agent.authorize(self.http.request(method, url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(AgentError::unreachable)?;
        let status = answer.status();
        let retry_after = error::retry_after(answer.headers());
        let body = http::read_bounded(answer, self.limits.max_answer_bytes).await.map_err(|e| match e {
            BodyError::Broken(source) => AgentError::unreachable(source),
            BodyError::TooLarge => AgentError::protocol("the answer is larger than allowed"),
        })?;
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(error::refusal(status, retry_after, &body));
        }
        Ok((status, body))
    }
}

fn segment(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Backup => "backups",
        OperationKind::Restore => "restores",
        OperationKind::Rehearsal => "rehearsals",
    }
}
