//! The configuration of an instance (spec 2.3), with the operator's defaults filled in.

use backup_core::Policy;
use backup_core::domain::instance::ServiceInstance;
use serde::Serialize;
use utoipa::ToSchema;

use super::View;

/// What applies to an instance.
#[derive(Serialize, ToSchema)]
#[schema(as = InstanceConfig)]
pub(crate) struct InstanceConfigView {
    /// So many good backups are kept, however old they are.
    #[schema(minimum = 0)]
    min_backup_count: i32,
    /// Days for which a backup is kept.
    #[schema(minimum = 0)]
    retention_time: i32,
    /// Characters an encryption key of the owner's must have.
    #[schema(minimum = 1)]
    min_encryption_key_length: i32,
    /// Whether the schedule leaves the instance out.
    exclude_from_auto_backup: bool,
    /// `null`, or for example `postgresql_wal`.
    backup_type: Option<String>,
}

impl View for InstanceConfigView {
    fn example() -> Self {
        Self {
            min_backup_count: 5,
            retention_time: 7,
            min_encryption_key_length: 8,
            exclude_from_auto_backup: false,
            backup_type: None,
        }
    }
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
