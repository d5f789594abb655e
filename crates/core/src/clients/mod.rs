//! The two parties the manager asks over HTTP: the backup agent and the service broker.
//! Both are treated as hostile or broken. Nothing here touches the database; actions decide what an answer means.

use std::time::Duration;

pub mod agent;
pub mod broker;
mod http;
mod server_name;

/// Who has not answered by then is waited for without holding up other jobs of the worker. Longer than agents that are well
/// take, since who stands aside comes on top of the worker group's count.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

pub use agent::{AgentClient, AgentCredential, AgentEndpoint, AgentError, OperationKind};
pub use broker::{BrokerClient, BrokerEndpoint, BrokerError, BrokerInstance};
pub use http::{HttpLimits, HttpSetupError, TlsOptions};
