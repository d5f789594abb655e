//! `backupctl reconcile`

use std::time::Duration;

use clap::Args;

const AFTER_HELP: &str = "\
Compared are the database's backups and operations, the objects in the stores, and what each
backup agent remembers. What is on its way is no difference: objects of the last hour, and
operations whose status has just changed, are left for the next time.

Kinds of differences:
  object_without_row              objects of a backup that the database does not know
  row_without_object              a good backup whose objects are not all in the store
  size_mismatch                   sizes in the store, in metadata.json and in the database differ
  checksum_mismatch               the same for checksums; with --deep also for the stored bytes
  objects_of_failed_backup        a failed backup has objects that nobody is going to remove
  clean_up_overdue                objects that should have been removed for more than a day
  operation_unknown_to_database   an agent has an operation that the database does not know
  operation_ended_in_database     an agent works on an operation that has ended for the database
  operation_unknown_to_agent      an operation runs, and its agent never heard of it
  clean_up_pending_at_agent       an agent could not remove yet what an operation had left
  epoch_ahead_at_agent            an agent has seen a later dispatch than the database knows of
  unknown_folder                  a folder of an instance that the database does not know

Without --repair nothing is changed. With it
  adopt           takes a whole backup without a row into the catalogue
  remove_remains  removes objects of no row and no whole backup, once no agent can write them
  clean_up        gives what a failed backup has left to the deleter
  stop_operation  tells an agent to stop what the database does not know, or what has ended
  enqueue_jobs    gives unfinished operations without a job one
A whole backup without a row is never removed. Everything else is for a person to decide: see the
proposal.

Agents and stores that cannot be asked are listed as not compared.

Exit codes: 0 no difference and everything was compared, 1 otherwise; others as for every command.

Examples:
  backupctl reconcile
  backupctl reconcile --instance 7c9e6679-7425-40de-944b-e07fc1f90ae7 --deep
  backupctl reconcile --show latest --output json
  backupctl reconcile --repair";

/// Options of `reconcile`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ReconcileArgs {
    /// Accepted for clarity: without --repair nothing is changed
    #[arg(long, conflicts_with = "repair")]
    pub dry_run: bool,
    /// Remove the differences that can be removed without loss
    #[arg(long)]
    pub repair: bool,
    /// Read and hash all stored bytes, too; this may take long
    #[arg(long)]
    pub deep: bool,
    /// Only this service instance
    #[arg(long, value_name = "GUID")]
    pub instance: Option<String>,
    /// Show an earlier one, by its number, or the latest; asks for none
    #[arg(long, value_name = "ID", conflicts_with_all = ["dry_run", "repair", "deep", "instance", "no_wait"])]
    pub show: Option<String>,
    /// Accepted for clarity: it is waited for unless --no-wait is given
    #[arg(long)]
    pub wait: bool,
    /// Do not wait until it has ended
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// Ask the manager this often while waiting
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub wait_interval: Duration,
}
