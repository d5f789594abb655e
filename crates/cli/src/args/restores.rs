//! `backupctl restores …`

use clap::Subcommand;

use super::WaitArgs;
use super::moment::past;

/// Commands about restores.
#[derive(Debug, Subcommand)]
pub enum RestoresCommand {
    /// Loads a backup into an instance; replaces the data that is there
    Create {
        /// GUID of the service instance to restore into
        instance: String,
        /// Number of the backup; may be left out with --to-time
        #[arg(required_unless_present = "to_time")]
        backup: Option<i64>,
        /// Restore what was committed up to this moment (a time like 2026-02-01T01:30:00Z, or how long ago, like 2h)
        #[arg(long, value_name = "MOMENT", value_parser = past)]
        to_time: Option<String>,
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
