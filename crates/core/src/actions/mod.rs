//! The verbs of the product, one per file. Only actions open transactions of the product's tables; none stays open
//! during a remote call. Actions called by jobs confirm the job's lease in every transaction that writes.

mod agent_endpoint;
mod deletion;
mod finish;
mod lease;
mod places;
mod start_request;

pub mod adopt_backup;
pub mod adopt_operations;
pub mod back_up_all;
pub mod cancel_operation;
pub mod check_operation;
pub mod check_store;
pub mod configure_instance;
pub mod delete_backup;
pub mod delete_backups;
pub mod download_backup;
pub mod explain;
pub mod hold_backup;
pub mod inspect;
pub mod list_audit_events;
pub mod measure;
pub mod plan_deletions;
pub mod prune_history;
pub mod rebuild_catalogue;
pub mod reconcile;
pub mod refresh_windows;
pub mod rehearse_backups;
pub mod release_backup;
pub mod request_backup;
pub mod request_backup_all;
pub mod request_rebuild;
pub mod request_reconciliation;
pub mod request_rehearsal;
pub mod request_restore;
pub mod start_operation;
pub mod synchronise_instances;
pub mod undelete_backup;
