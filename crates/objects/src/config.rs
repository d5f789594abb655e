//! How a backup store is configured, the same way in the manager's and in the agent's file.

use std::path::PathBuf;

use serde::Deserialize;

/// One entry of `stores:`; `kind` chooses the provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum StoreConfig {
    /// A directory on this machine or a mounted one. It must exist already, so that a missing mount is noticed.
    Local {
        /// The directory below which all objects are kept.
        directory: PathBuf,
    },
}
