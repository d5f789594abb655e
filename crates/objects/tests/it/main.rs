//! The store against a real directory and real servers: what is created, listed, read, refused and deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "it is the store that is tested")]
#![allow(clippy::print_stdout, reason = "it must be seen when a server is not installed")]

mod bounds;
mod config;
mod doctor;
mod interruptions;
mod kinds;
mod object_lock;
mod places;
mod store;
