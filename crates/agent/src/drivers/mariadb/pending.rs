//! What the next start must know about a restore.

use serde::{Deserialize, Serialize};

use super::catalogue::Schema;

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Tables are loaded beside those in use.
    Loading,
    /// Clients are kept out, and everything goes forward.
    Exchanging,
    /// Clients are kept out, and everything goes back.
    Undoing,
    /// The data of the backup are in use. What going on or back would need may be dropped already.
    Completed,
    /// The data from before are in use. What going on or back would need may be dropped already.
    Undone,
}

/// The record of a restore.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) phase: Phase,
    /// The databases of the backup, in the order of their numbers.
    pub(super) new: Vec<Schema>,
    /// The databases before the exchange, in the order of their numbers.
    pub(super) old: Vec<Schema>,
    /// Variables of the server that are changed meanwhile, as they were.
    pub(super) settings: Vec<(String, String)>,
}
