//! The store against a real directory: what is created, listed, read, refused and deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bounds;
mod store;
