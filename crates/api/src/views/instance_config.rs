//! The configuration of an instance (spec 2.3), with the operator's defaults filled in.

use backup_core::Policy;
use backup_core::domain::instance::ServiceInstance;
use serde::Serialize;

/// What applies to an instance.
#[derive(Serialize)]
pub(crate) struct InstanceConfigView {
    min_backup_count: i32,
    retention_time: i32,
    min_encryption_key_length: i32,
    exclude_from_auto_backup: bool,
    backup_type: Option<String>,
}

impl InstanceConfigView {
    pub(crate) fn new(policy: &Policy, instance: ServiceInstance) -> Self {
        Self {
            min_backup_count: instance.min_backup_count.unwrap_or(policy.min_backup_count),
            retention_time: instance.retention_days.unwrap_or(policy.retention_days),
            min_encryption_key_length: instance
                .min_encryption_key_length
                .unwrap_or(policy.min_encryption_key_length),
            exclude_from_auto_backup: instance.exclude_from_auto_backup,
            backup_type: instance.backup_type,
        }
    }
}
