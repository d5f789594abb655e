//! The manager's HTTP API: from a URL to an action of `backup-core` and back to JSON. Every URL is in `routes.rs`;
//! a handler's file has the path of its URL; what goes out is in `views`; `error.rs` alone knows status codes of
//! errors; `openapi` describes it all. No handler touches tables, agents or stores. It is stateless: start as many as wanted.

mod auth;
mod body;
mod connections;
mod error;
mod handlers;
mod metrics;
mod middleware;
pub mod openapi;
mod path;
mod patience;
pub mod routes;
mod server;
mod unique_fields;
mod views;
mod word;

pub use auth::{SetupError, check_auth, hash_password};
pub use server::{Running, StartError, check_certificates, start};
