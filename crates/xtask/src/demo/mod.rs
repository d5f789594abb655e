//! stub
pub mod dataset;
pub mod fingerprint;
