//! The backup manager without its daemons: what it knows (`domain`), what it does (`actions`), what it remembers
//! (`store`) and whom it talks to (`clients`). It reads neither configuration nor environment: the daemons hand
//! values over in [`Settings`]. Start reading at `jobs.rs` and at the list of files in `actions/`.

pub mod actions;
pub mod clients;
pub mod domain;
mod error;
pub mod jobs;
mod manager;
mod shares;
pub mod store;

pub use backup_objects as objects;
pub use backup_queue as queue;

pub use crate::error::Error;
pub use crate::manager::{Broker, BrokerSource, HistoryPolicy, Manager, Policy, Settings};
pub use crate::shares::{Shares, Turn};

/// Result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;
