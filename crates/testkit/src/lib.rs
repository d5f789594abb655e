//! What the tests of several crates share: a database of one's own per test with a movable clock ([`Database`]), a backup
//! agent and a service broker that speak real HTTP and misbehave on request ([`FakeAgent`], [`FakeBroker`]).
//! Never shipped. Whole installations of real processes are in the crate `local-installation`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod database;
mod fake;

pub use database::{Database, SeededBackup, SeededInstance};
pub use fake::agent::{AgentFault, FakeAgent, OperationView, Plan};
pub use fake::answer::{Answer, Request};
pub use fake::broker::{FakeBroker, Resource};
pub use fake::server::FakeServer;
