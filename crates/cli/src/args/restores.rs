//! `backupctl restores …`

use clap::Subcommand;

use super::WaitArgs;

/// Commands about restores.
#[derive(Debug, Subcommand)]
pub enum RestoresCommand {
    /// Loads a backup into an instance; replaces the data that is there
    Create {
        /// GUID of the service instance to restore into
        instance: String,
        /// Number of the backup
        backup: i64,
        /// Take the backup of this instance (same data service; may be a deleted one)
        #[arg(long, value_name = "GUID")]
        source_instance: Option<String>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// Whether to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Lists the restores of an instance, newest first
    List {
        /// GUID of the service instance
        instance: String,
    },
    /// Shows one restore
    Show {
        /// GUID of the service instance
        instance: String,
        /// Number of the restore
        id: i64,
    },
    /// Asks the agent to stop a queued or running restore
    Cancel {
        /// GUID of the service instance
        instance: String,
        /// Number of the restore
        id: i64,
    },
}
