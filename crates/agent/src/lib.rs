//! The reference backup agent: an HTTP process beside a service instance that turns the running data service into
//! encrypted objects in a backup store, and back. The protocol is described in `docs/agent-protocol.md`.
//! Begin with [`serve`] and `routes.rs`; a `PUT` leads through `handlers/`, `operations/` and `pipeline/` to a driver.

mod archive;
mod auth;
mod body;
pub mod check;
pub mod config;
mod drivers;
mod error;
pub mod fetch;
mod handlers;
mod operations;
mod pipeline;
mod routes;
mod scratch;
mod server;
mod session;

pub use config::Config;
pub use drivers::{
    CommandSettings, DriverError, FilesSettings, MariadbSettings, PhysicalSettings, PostgresqlSettings,
    RabbitmqSettings, RedisSettings,
};
pub use operations::{JournalError, Kind, admission};
pub use server::{RunningAgent, ServeError, serve};
