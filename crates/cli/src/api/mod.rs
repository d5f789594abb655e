//! The manager's HTTP API as `backupctl` sees it: requests, and the objects of the answers.

mod client;
mod objects;

pub use client::ApiClient;
pub use objects::{
    AuditEvent, Backup, Explanation, Finding, Hold, Instance, InstanceConfig, Job, PitrWindow, Progress,
    Queue, Rebuild, Reconciliation, ReconciliationFinding, Rehearsal, Restore, RetentionRow, Store,
    StoreCheck, Verification,
};
