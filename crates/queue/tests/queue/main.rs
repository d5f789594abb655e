//! The queue against a real Postgres: a database per test, on a private server that all tests running at a time share.
//! Its promises in `docs/queue.md` name these tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs
)]

mod age;
mod bell;
mod claim;
mod enqueue;
mod lease;
mod outage;
mod overview;
mod places;
mod plan;
mod prose;
mod prune;
mod retry;
mod runner;
mod schedules;
mod set_back;
mod shutdown;
mod support;
