//! Reserved names, and how names and texts are written in SQL.

/// What all databases of ours begin with.
pub(super) const RESERVED: &str = "backup_agent_";
/// Holds one table, whose name says whether the exchange has happened.
pub(super) const CONTROL: &str = "backup_agent_control";
/// The name of that table before.
pub(super) const BEFORE: &str = "`backup_agent_control`.`before`";
/// The name of that table after.
pub(super) const AFTER: &str = "`backup_agent_control`.`after`";
/// The users of the backup.
pub(super) const NEW_USERS: &str = "backup_agent_new_users";
/// The users before the restore.
pub(super) const OLD_USERS: &str = "backup_agent_old_users";

/// Where tables are loaded; counted from 1.
pub(super) fn fresh(number: usize) -> String {
    format!("{RESERVED}new_{number:04}")
}

/// Where replaced tables go.
pub(super) fn old(number: usize) -> String {
    format!("{RESERVED}old_{number:04}")
}

/// A name in SQL.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table in SQL.
pub(super) fn table(database: &str, name: &str) -> String {
    format!("{}.{}", quote(database), quote(name))
}

/// A text in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
