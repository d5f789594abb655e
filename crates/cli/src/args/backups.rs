//! `backupctl backups …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::WaitArgs;

/// Commands about backups.
#[derive(Debug, Subcommand)]
pub enum BackupsCommand {
    /// Lists the backups of an instance, newest first
    List {
        /// GUID of the service instance
        instance: String,
    },
    /// Starts a backup now
    Create {
        /// GUID of the service instance
        instance: String,
        /// Whether to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Shows one backup
    Show {
        /// GUID of the service instance
        instance: String,
        /// Number of the backup
        id: i64,
    },
    /// Asks the agent to stop a queued or running backup
    Cancel {
        /// GUID of the service instance
        instance: String,
        /// Number of the backup
        id: i64,
    },
    /// Rehearses a backup: has it restored into a scratch data service, looked at and thrown away
    Verify {
        /// GUID of the service instance
        instance: String,
        /// Number of the backup
        id: i64,
        /// Whether to wait.
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Removes a backup and its data at once; this cannot be undone
    Delete {
        /// GUID of the service instance
        instance: String,
        /// Number of the backup
        id: i64,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Takes back the deletion mark of a backup that was done, before its removal has begun
    Undelete {
        /// GUID of the service instance
        instance: String,
        /// Number of the backup
        id: i64,
    },
    /// Fetches the stored (compressed and encrypted) bytes; continues an interrupted download
    Download(DownloadArgs),
}

/// Options of `backups download`.
#[derive(Debug, Args)]
pub struct DownloadArgs {
    /// GUID of the service instance
    pub instance: String,
    /// Number of the backup
    pub id: i64,
    /// Where to write, or - for standard output [default: <backup_id>.backup]
    #[arg(short = 'f', long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}
