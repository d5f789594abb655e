//! How to reach the agent beside an instance.

use backup_protocol::{OperationState, StopOrder};
use url::Url;

use crate::clients::agent::{AgentClient, AgentEndpoint};
use crate::domain::backup::Backup;
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::OperationKind;
use crate::domain::stored_form::StoredForm;
use crate::manager::{Manager, Settings};
use crate::store::{self, service_instances};
use crate::{Error, Result};

/// An agent's address and the client that its broker's configuration asks for.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) client: AgentClient,
    pub(super) endpoint: AgentEndpoint,
    /// The form new backups are asked for in.
    pub(super) form: StoredForm,
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
        form: broker.form,
    })
}

/// Tells the agent to stop a failed backup; an error unless it confirms that it no longer works on it. The agent of a
/// deleted instance is usually gone with it, but may as well be at work for some time yet: it is asked, too, and its silence
/// counts as gone once nothing that was sent to it can still be within its deadline.
pub(super) async fn confirm_stopped(manager: &Manager, backup: &Backup) -> Result<()> {
    let (settings, id) = (manager.settings(), backup.instance);
    let (instance, now) = manager
        .database
        .transaction(move |conn| Ok((service_instances::get_by_id(conn, id)?, store::now(conn)?)))
        .await?;
    let answer = match agent_of(&settings, &instance) {
        Ok(agent) => stop(&agent, backup).await,
        Err(error) => Err(error),
    };
    match (answer, instance.deleted_at) {
        (Err(Error::InstanceBusy), _) => Err(Error::InstanceBusy),
        (Err(error), Some(deleted_at)) => {
            let last_wanted = backup.finished_at.map_or(deleted_at, |failed_at| failed_at.max(deleted_at));
            match now.signed_duration_since(last_wanted).to_std() {
                Ok(silent) if silent > settings.policy.operation_timeout => Ok(()),
                _ => Err(error),
            }
        }
        (answer, _) => answer,
    }
}

async fn stop(agent: &Agent, backup: &Backup) -> Result<()> {
    // All its dispatches: nobody wants any of them any more.
    let (kind, order) = (OperationKind::Backup, StopOrder::default());
    let status = agent.client.cancel(&agent.endpoint, kind, &backup.backup_id, order).await?;
    match status.map(|status| status.state) {
        Some(OperationState::Running) => Err(Error::InstanceBusy),
        _ => Ok(()),
    }
}
