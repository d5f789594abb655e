//! The store against a real directory: what is created, listed, read, refused and deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "it is the store that is tested")]

mod bounds;
mod store;
