//! How to reach the agent beside an instance.

use url::Url;

use crate::clients::agent::{AgentClient, AgentEndpoint};
use crate::domain::instance::ServiceInstance;
use crate::manager::Settings;
use crate::{Error, Result};

/// An agent's address and the client that its broker's configuration asks for.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) client: AgentClient,
    pub(super) endpoint: AgentEndpoint,
}

/// Finds the agent of an instance. Fails when its address is unknown or its broker has left the configuration.
pub(super) fn agent_of(settings: &Settings, instance: &ServiceInstance) -> Result<Agent> {
    let broker = settings
        .brokers
        .iter()
        .find(|broker| broker.name == instance.service_broker)
        .ok_or_else(|| Error::NotConfigured { what: "service broker", name: instance.service_broker.clone() })?;
    let url = instance
        .agent_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok())
        .ok_or_else(|| Error::AgentUnknown(instance.guid.to_string()))?;
    Ok(Agent { client: broker.agent.clone(), endpoint: AgentEndpoint::new(url, broker.agent_credential.clone()) })
}
