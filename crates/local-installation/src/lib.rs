//! A complete installation on 127.0.0.1: configuration files, certificates, secrets, and the built programs as real
//! processes that can be killed and started again. The demo and the end-to-end tests share it.
//!
//! Say what is wanted in a [`Plan`], turn it into files with [`Installation::prepare`], start it. The manager's
//! database and the data services are the caller's; no database driver is needed here.

mod agent_file;
mod agent_process;
mod certificates;
mod daemon;
mod files;
mod installation;
mod manager_file;
mod places;
mod plan;
mod probe;
mod programs;
mod yaml;

pub use agent_process::AgentProcess;
pub use certificates::Certificates;
pub use daemon::Daemon;
pub use files::{random_secret, write_private};
pub use installation::Installation;
pub use plan::{AgentPlan, BrokerPlan, Driver, Plan};
pub use programs::Programs;
