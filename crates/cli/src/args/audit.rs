//! `backupctl audit`

use std::num::NonZeroUsize;

use clap::Args;

use super::moment::past;

const AFTER_HELP: &str = "\
Examples:
  backupctl audit --instance 7c9e6679-7425-40de-944b-e07fc1f90ae7
  backupctl audit --actor worker --action remove_backup --since 7d
  backupctl audit --since '2026-02-01 01:30' --before 2026-02-02 --output json

Actions:
  request_backup, request_backup_all, request_restore, cancel_backup, cancel_restore,
  delete_backup, undelete_backup, hold_backup, release_backup, download_backup,
  configure_instance, rebuild_catalogue, request_reconciliation
                   a user has asked for it
  mark_backup      retention marked a backup; it can be undeleted for a while
  remove_backup    a backup is gone, from the store and from the list
  clean_up_backup  what a failed backup had left in the store is gone
  repair_difference
                   what a reconciliation with repairs has done
  delete_instance  a service broker said that an instance is deleted
  adopt_backup     a backup that was found in its store got a row

The actor is the name of a user, or worker for what the manager did by itself.
The request's id, which the manager's log has too, is shown where there is room
for it, and by --output json.";

/// Which events `audit` shows.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct AuditArgs {
    /// Only what concerned this service instance
    #[arg(long, value_name = "GUID")]
    pub instance: Option<String>,
    /// Only what this user did, or worker
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Only events of this kind, see below
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only what happened then or later: a time (UTC unless it says otherwise) or so long ago, for example 2h
    #[arg(long, value_name = "TIME", value_parser = past)]
    pub since: Option<String>,
    /// Only what happened earlier than then, in the same form
    #[arg(long, value_name = "TIME", value_parser = past)]
    pub before: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    pub limit: NonZeroUsize,
}
