//! The HTTP clients against servers that misbehave on purpose. Healthy exchanges over a whole protocol are in the
//! testkit's fakes; here each answer is written byte by byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod agent;
mod broker;
mod scripted;
mod tls;
