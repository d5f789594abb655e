//! `backupctl stores …`

use clap::Subcommand;

/// Commands about the stores of the manager's configuration.
#[derive(Debug, Subcommand)]
pub enum StoresCommand {
    /// Lists them
    List,
    /// Tries everything with a store, or with all, and says in words what does not work; exit code 1 then
    ///
    /// It is the manager's view. Agents have credentials of their own: run `backup-agent check` beside one as well.
    Check {
        /// Only this store [default: all]
        name: Option<String>,
    },
}
