//! `backupctl` as a process against a manager of a few lines: what it sends, prints and returns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod audit;
mod download;
mod errors;
mod explain;
mod fake;
mod holds;
mod reading;
mod reconcile;
mod stores;
mod waiting;
