//! `/backup_agent/…`: the first generation of the operator's API.

pub(crate) mod backup;
pub(crate) mod backup_all;
pub(crate) mod restores;
