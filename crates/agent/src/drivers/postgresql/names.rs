//! The names of databases and roles that exist only during a restore. They are fixed, so that the next start of an agent that was
//! killed finds them; they never become part of a backup.

/// The database whose comment records how far the restore is, and to which the exchange connects.
pub(super) const CONTROL: &str = "backup_agent_control";

/// Connections of a restore carry this `application_name`, so that those of a killed agent can be ended.
pub(super) const APPLICATION: &str = "backup-agent-restore";

/// SQL that is true for the name of such a database in the column `datname`.
pub(super) const IS_OURS: &str = "datname ~ '^backup_agent_(control|(new|old)_[0-9]+)$'";

/// A database while it is loaded.
pub(super) fn fresh(number: u32) -> String {
    format!("backup_agent_new_{number:04}")
}

/// A replaced database until it is dropped.
pub(super) fn old(number: usize) -> String {
    format!("backup_agent_old_{number:04}")
}

/// SQL that is true for the name of a role that stands in for an owner, in the column `rolname`.
pub(super) const IS_STAND_IN: &str = "rolname ~ '^backup_agent_load_[0-9]+$'";

/// The role that stands in for an owner while a database is loaded.
pub(super) fn stand_in(number: usize) -> String {
    format!("backup_agent_load_{number:04}")
}
