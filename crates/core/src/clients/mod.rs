//! The two parties the manager asks over HTTP: the backup agent and the service broker.
//! Both are treated as hostile or broken. Nothing here touches the database; actions decide what an answer means.

pub mod agent;
pub mod broker;
mod http;
mod server_name;

pub use agent::{AgentClient, AgentCredential, AgentEndpoint, AgentError, OperationKind};
pub use broker::{BrokerClient, BrokerEndpoint, BrokerError, BrokerInstance};
pub use http::{HttpLimits, HttpSetupError, TlsOptions};
