//! The agent as a manager sees it: over HTTP, with real directories and a real PostgreSQL, in this process and as a
//! process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

mod conformance;
mod drivers;
mod fetch;
mod formats;
mod handlers;
mod harness;
mod memory;
mod operations;
mod pipeline;
mod process;
mod rehearsals;
mod stores;
