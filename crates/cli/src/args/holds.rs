//! `backupctl hold` and `backupctl release`

use clap::Args;

use super::moment::future;

const AFTER_HELP: &str = "\
Examples:
  backupctl hold 7c9e6679-7425-40de-944b-e07fc1f90ae7 12 --reason 'before the migration' --until 30d
  backupctl hold 7c9e6679-7425-40de-944b-e07fc1f90ae7 12 --reason 'case 7'

A held backup is deleted by nobody: not by retention, not by a client, not with its instance. It is
released by `backupctl release`, or at --until, by the clock of the manager's database. Holding it
again replaces reason and end.";

/// What `hold` holds, and why.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct HoldArgs {
    /// GUID of the service instance
    pub instance: String,
    /// Number of the backup
    pub id: i64,
    /// Why it must stay: for whoever finds it later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// When the hold ends by itself: a time (UTC unless it says otherwise) or in so long, for example 30d
    #[arg(long, value_name = "TIME", value_parser = future)]
    pub until: Option<String>,
}

/// What `release` releases.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// GUID of the service instance
    pub instance: String,
    /// Number of the backup
    pub id: i64,
}
