//! The repository's chores, `cargo xtask demo` and `cargo xtask test`. Builds without a database driver, so that it can install
//! what is missing before the workspace is built. `main.rs` has the command line.
#![allow(clippy::print_stdout, reason = "a command for people talks to them")]

pub mod bench;
pub mod chaos;
pub mod demo;
pub mod prepare;
pub mod run;
pub mod schemathesis;
pub mod store_servers;
pub mod test;
