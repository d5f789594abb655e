//! How to reach the agent beside an instance.

use backup_protocol::StopOrder;
use url::Url;

use crate::clients::agent::{AgentClient, AgentEndpoint};
use crate::domain::backup::Backup;
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::OperationKind;
use crate::manager::{Manager, Settings};
use crate::store::service_instances;
use crate::{Error, Result};

/// An agent's address and the client that its broker's configuration asks for.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) client: AgentClient,
    pub(super) endpoint: AgentEndpoint,
}

/// Finds the agent of an instance. Fails when its address is unknown or its broker has left the configuration.
pub(super) fn agent_of(settings: &Settings, instance: &ServiceInstance) -> Result<Agent> {
    let broker =
        settings.brokers.iter().find(|broker| broker.name == instance.service_broker).ok_or_else(|| {
            Error::NotConfigured { what: "service broker", name: instance.service_broker.clone() }
        })?;
    let url = instance
        .agent_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok())
        .ok_or_else(|| Error::AgentUnknown(instance.guid.to_string()))?;
    Ok(Agent {
        client: broker.agent.clone(),
        endpoint: AgentEndpoint::new(url, broker.agent_credential.clone()),
    })
}

/// Tells the agent to stop a failed backup; an error unless it confirms that it no longer works on it. The agent of a
/// deleted instance is gone with it.
pub(super) async fn confirm_stopped(manager: &Manager, backup: &Backup) -> Result<()> {
    let (settings, instance) = (manager.settings(), backup.instance);
    let agent = manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_by_id(conn, instance)?;
            Ok(instance.deleted_at.is_none().then(|| agent_of(&settings, &instance)))
        })
        .await?;
    match agent {
        None => Ok(()),
        Some(agent) => {
            let agent = agent?;
            let status =
                // All its dispatches: nobody wants any of them any more.
                agent
                    .client
                    .cancel(&agent.endpoint, OperationKind::Backup, &backup.backup_id, StopOrder::default())
                    .await?;
            match status.map(|status| status.state) {
                Some(backup_protocol::OperationState::Running) => Err(Error::InstanceBusy),
                _ => Ok(()),
            }
        }
    }
}
