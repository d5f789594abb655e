//! Whole installations of real processes: the API, worker groups, agents, real data services. Where a peer has to
//! misbehave it is a fake that speaks real HTTP; where time has to pass the clock is moved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod house;

mod backupctl;
mod brokers;
mod catalogue;
mod crashes;
mod data_services;
mod deletion;
mod disaster_recovery;
mod reconciling;
mod rehearsing;
mod starting;
mod watching;
