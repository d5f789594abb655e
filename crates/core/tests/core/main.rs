//! Tests of the core against a real Postgres: what the schema refuses by itself, and the migrations.
//! What the actions do when jobs call them is tested in the worker's tests; what the API calls, in the API's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod audit;
mod back_up_all;
mod cost;
mod deletions;
mod fleet;
mod migrations;
mod prune_history;
mod schema;
mod status_moves;
mod synchronise_instances;
