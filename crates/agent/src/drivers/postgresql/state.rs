//! How far a restore is: the comment of the control database, written in the same transaction as the exchange, so that
//! the server itself knows whether the exchange happened. What is not recorded here is not the agent's to touch.

use serde::{Deserialize, Serialize};

use super::names;
use super::quote::{identifier, literal};

/// How far a restore is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The exchange is committed.
    pub(super) swapped: bool,
    /// OIDs of the databases to drop: before the exchange those that were loaded, after it those that were replaced.
    pub(super) databases: Vec<u32>,
    /// Before the exchange: a database that is just being made, so that its OID is not known yet.
    pub(super) making: Option<String>,
    /// Before the exchange: roles that did not exist before the restore.
    pub(super) created_roles: Vec<String>,
    /// Before the exchange: roles that stand in for the owners of the database that is being loaded.
    pub(super) stand_ins: Vec<String>,
    /// Before the exchange: databases that are closed for it and were open.
    pub(super) closed: Vec<String>,
    /// After the exchange: roles the backup does not have.
    pub(super) other_roles: Vec<String>,
}

impl State {
    /// SQL that records this state.
    pub(super) fn record(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("COMMENT ON DATABASE {} IS {};\n", identifier(names::CONTROL), literal(&json))
    }
}
