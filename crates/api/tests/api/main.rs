//! The real server on port 0 over a database of its own: what clients see on the wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

mod access;
mod access_matrix;
mod app;
mod audit;
mod backup_agent;
mod backups;
mod catalogue;
mod clients;
mod database;
mod download;
mod errors;
mod explain;
mod failed_logins;
mod holds;
mod instance_config;
mod instances;
mod large;
mod listeners;
mod memory;
mod oidc;
mod openapi;
mod outage;
mod owners;
mod pitr;
mod process;
mod proxies;
mod proxy;
mod public_api;
mod queues;
mod reconciliations;
mod rehearsals;
mod restores;
mod shutdown;
mod stores;
