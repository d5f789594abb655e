//! What one can type: every command and option of `backupctl`. Nothing is done here.

mod audit;
mod backups;
mod catalogue;
mod holds;
mod instances;
mod moment;
mod queues;
mod reconcile;
mod restores;
mod stores;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use audit::AuditArgs;
pub use backups::{BackupsCommand, DownloadArgs};
pub use catalogue::{CatalogueCommand, RebuildArgs};
pub use holds::{HoldArgs, ReleaseArgs};
pub use instances::{ConfigChanges, ConfigCommand, InstancesCommand};
pub use queues::{JobState, QueuesArgs, QueuesCommand};
pub use reconcile::ReconcileArgs;
pub use restores::RestoresCommand;
pub use stores::StoresCommand;

use crate::output::Format;

const AFTER_HELP: &str = "\
Exit codes:
  0   the command did what it says
  1   the operation failed, for example a backup that was waited for; every other error
  2   wrong usage, found here or by the manager (400)
  3   the instance, backup or restore was not found
  4   the manager refused (401, 403, 409, 410, 422, 423)
  69  the manager cannot be reached, is not able to serve (502, 503, 504), or is not healthy
  130 interrupted

The password is the first line of --password-file, else of the file in BACKUPCTL_PASSWORD_FILE,
else BACKUPCTL_PASSWORD, else it is asked for. A token of --token-file, or of the file in BACKUPCTL_TOKEN_FILE,
takes the place of user and password. An issuer's token is accepted by the commands of backups and restores only.";

/// Operates the a9s Backup Manager: backups, restores and everything around them.
#[derive(Debug, Parser)]
#[command(name = "backupctl", version, after_help = AFTER_HELP, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// How to reach the manager.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Tables for people, or the API's JSON for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How to reach the manager.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct ConnectionArgs {
    /// Base URL of the manager API
    #[arg(long, global = true, env = "BACKUPCTL_URL", default_value = "http://localhost:3000")]
    pub url: String,
    /// User name
    #[arg(long, global = true, env = "BACKUPCTL_USER", default_value = "admin")]
    pub user: String,
    /// File whose first line is the password, or - for standard input [env: BACKUPCTL_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// File whose first line is a bearer token, in place of user and password [env: BACKUPCTL_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "password_file")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the certificate authorities to trust instead of the system's
    #[arg(long, global = true, env = "BACKUPCTL_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Everything `backupctl` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Service instances and their backup configuration
    #[command(subcommand)]
    Instances(InstancesCommand),
    /// Says why the next backup of an instance has not started
    Explain {
        /// GUID of the service instance
        instance: String,
    },
    /// Backups of a service instance
    #[command(subcommand)]
    Backups(BackupsCommand),
    /// Holds a backup: nobody deletes it, until it is released or a time has come
    Hold(HoldArgs),
    /// Releases a held backup
    Release(ReleaseArgs),
    /// Restores into a service instance
    #[command(subcommand)]
    Restores(RestoresCommand),
    /// What waits, what runs, what failed and why
    Queues(QueuesArgs),
    /// Shows what retention keeps and lets go, and why; deletes nothing
    Retention(RetentionArgs),
    /// Shows who did what to which instance, from where, newest first
    Audit(AuditArgs),
    /// Compares the database with the stores and the agents, and reports every difference
    Reconcile(ReconcileArgs),
    /// Backups that lie in the stores and are not in the database
    #[command(subcommand)]
    Catalogue(CatalogueCommand),
    /// The stores of the manager, and whether they work
    #[command(subcommand)]
    Stores(StoresCommand),
    /// Starts a backup of all service instances now
    BackupAll,
    /// Asks whether the manager is healthy
    Health,
    /// Turns a password into the hash for `auth.users` of the manager's configuration
    ///
    /// The password is the first line of --password-file when that is given, else the first line of standard input; at a
    /// terminal it is asked for twice. BACKUPCTL_PASSWORD and BACKUPCTL_PASSWORD_FILE, which log in, are not read.
    HashPassword,
}

/// Options of `retention`.
#[derive(Debug, Args)]
pub struct RetentionArgs {
    /// Accepted for clarity: this command never deletes
    #[arg(long)]
    pub dry_run: bool,
    /// Only this service instance
    #[arg(long, value_name = "GUID")]
    pub instance: Option<String>,
}

/// Options of commands that can wait for an operation.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Wait until it has ended; exit code 1 unless it ended well
    #[arg(long)]
    pub wait: bool,
    /// Stop waiting after this time, for example 2h (the operation goes on)
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = humantime::parse_duration)]
    pub wait_timeout: Option<std::time::Duration>,
    /// Ask the manager this often while waiting
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub wait_interval: std::time::Duration,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn documented_commands_are_understood() {
        for line in [
            "backupctl instances list",
            "backupctl instances show g",
            "backupctl instances config get g",
            "backupctl instances config set g --min-backup-count 3 --exclude-from-auto-backup true",
            "backupctl explain g",
            "backupctl explain g --output json",
            "backupctl backups list g",
            "backupctl backups create g --wait --wait-timeout 2h",
            "backupctl backups show g 1 --output json",
            "backupctl backups cancel g 1",
            "backupctl backups delete g 1 --yes",
            "backupctl backups undelete g 1",
            "backupctl backups download g 1 --output-file x",
            "backupctl hold g 1 --reason r --until 30d",
            "backupctl hold g 1 --reason r --until 2126-02-01 -o json",
            "backupctl release g 1",
            "backupctl restores create g 1 --wait --source-instance h",
            "backupctl restores list g",
            "backupctl restores show g 1",
            "backupctl restores cancel g 1",
            "backupctl queues",
            "backupctl queues jobs --queue backup_all_job --state failed",
            "backupctl retention --dry-run --instance g",
            "backupctl audit",
            "backupctl audit --instance g --actor olga --action delete_backup --since 2h --before 2026-02-01 --limit 5",
            "backupctl audit --token-file f -o json",
            "backupctl reconcile",
            "backupctl reconcile --dry-run --wait --instance g --deep",
            "backupctl reconcile --repair --no-wait",
            "backupctl reconcile --show latest -o json",
            "backupctl catalogue rebuild --store main --dry-run --wait --wait-timeout 2h",
            "backupctl catalogue show 1 -o json",
            "backupctl backup-all",
            "backupctl health -o json",
            "backupctl hash-password --password-file f",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn mistakes_are_refused_with_exit_code_2() {
        for line in [
            "backupctl",
            "backupctl backups create",
            "backupctl backups show g not-a-number",
            "backupctl backups create g --wait-timeout 2h",
            "backupctl instances config set g",
            "backupctl --password secret health",
            "backupctl queues jobs --state lost",
            "backupctl reconcile --repair --dry-run",
            "backupctl reconcile --show 3 --repair",
            "backupctl hold g 1",
            "backupctl hold g 1 --reason r --until tomorrow",
            "backupctl audit --since yesterday",
            "backupctl audit --limit 0",
            "backupctl audit --token-file f --password-file g",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_help_documents_every_exit_code() {
        let help = Cli::command().render_help().to_string();
        for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "69", "130"] {
            assert!(help.contains(&format!("\n  {code}")), "{code}");
        }
    }
}
