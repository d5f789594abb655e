//! What strangers send: broken, huge, hostile, slow and too much, byte by byte over TCP against a real API process. After
//! each attempt the API answers a normal request, nothing was written, and what was answered has the documented shape:
//! the JSON error, or an empty 400, 408 or 431 where the bytes are not HTTP enough for a path to be known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bodies;
mod crowds;
mod framing;
mod house;
mod names;
mod raw;
mod slowness;
