//! `backupctl instances …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Commands about service instances.
#[derive(Debug, Subcommand)]
pub enum InstancesCommand {
    /// Lists all service instances
    List,
    /// Shows one service instance
    Show {
        /// GUID of the service instance
        instance: String,
    },
    /// Shows to which moments an instance can be restored
    Pitr {
        /// GUID of the service instance
        instance: String,
    },
    /// Reads or changes how an instance is backed up
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Commands about an instance's backup configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Shows the configuration
    Get {
        /// GUID of the service instance
        instance: String,
    },
    /// Changes what is given and leaves the rest as it is
    Set {
        /// GUID of the service instance
        instance: String,
        /// What to change.
        #[command(flatten)]
        changes: ConfigChanges,
    },
}

/// What can be changed of an instance's configuration.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct ConfigChanges {
    /// So many newest done backups always stay
    #[arg(long, value_name = "NUMBER")]
    pub min_backup_count: Option<u32>,
    /// Backups stay at least so many days
    #[arg(long, value_name = "DAYS")]
    pub retention_time: Option<u32>,
    /// Which backups are made: postgresql_wal (base backups and an archive of the log), or none for the usual ones
    #[arg(long, value_name = "TYPE")]
    pub backup_type: Option<String>,
    /// Leave the instance out of scheduled backups
    #[arg(long, value_name = "true|false")]
    pub exclude_from_auto_backup: Option<bool>,
    /// The owner has changed the data service's credentials
    #[arg(long, value_name = "true|false")]
    pub credentials_updated_by_user: Option<bool>,
    /// File whose first line is the new encryption key, or - for standard input; older backups keep their key
    #[arg(long, value_name = "FILE")]
    pub encryption_key_file: Option<PathBuf>,
}
