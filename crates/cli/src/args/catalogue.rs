//! `backupctl catalogue …`

use clap::{Args, Subcommand};

use super::WaitArgs;

const AFTER_HELP: &str = "\
Looks through the stores for complete backups that have no row in the manager's database, and
gives them one. Needed after the database was lost or set back; see \"Save the manager
itself\" in the manual. It may be repeated: what has a row is left as it is, and nothing in a
store is touched.

What can become of a folder without a row:
  adopted, adoptable   it has a row now; in a dry run: it would have got one
  incomplete           no metadata.json, so no backup: unfinished, or half removed
  unreadable           metadata.json makes no sense, or the store cannot read it
  misplaced            the folder is not named as a backup, or metadata.json is another's
  damaged              a part is missing or has another size
  key_missing          its agent has not written its sealed key beside it
  key_unavailable      it is sealed under an entry that backup_manager_encryption_keys lacks
  key_refused          its sealed key was changed or moved, or that entry has another text
  broker_unknown       its instance is unknown, and no configured broker fits
  broker_unavailable   its instance is unknown, and its broker could not be asked: run it again
  other_data_service   its instance is known as one of another data service

Examples:
  backupctl catalogue rebuild --dry-run --wait
  backupctl catalogue rebuild --store main --wait
  backupctl catalogue show 1";

/// Commands about the catalogue of backups.
#[derive(Debug, Subcommand)]
pub enum CatalogueCommand {
    /// Finds backups that lie in the stores and have no row, and adopts them
    #[command(after_help = AFTER_HELP)]
    Rebuild(RebuildArgs),
    /// Shows a rebuild and what it found
    Show {
        /// Number of the rebuild
        id: i64,
    },
}

/// Options of `catalogue rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Only this store of the manager's configuration [default: all]
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,
    /// Look and report, adopt nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}
