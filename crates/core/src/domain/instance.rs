//! A service instance, as the manager knows it.

use chrono::{DateTime, Utc};

use super::identifiers::{ServiceInstanceGuid, ServiceInstanceId};

/// One provisioned data service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceInstance {
    /// The manager's number: `instance_id` of the first-generation objects.
    pub id: ServiceInstanceId,
    /// The platform's name.
    pub guid: ServiceInstanceGuid,
    /// First half of every backup's name, and a folder in the store.
    pub backup_guid: String,
    /// Name of the broker that provisioned it.
    pub service_broker: String,
    /// The broker's word for its state.
    pub state: String,
    /// The broker's name of the deployment.
    pub deployment_name: Option<String>,
    /// Service plan.
    pub plan_guid: Option<String>,
    /// Service offering.
    pub service_guid: Option<String>,
    /// Organization it belongs to.
    pub organization_guid: Option<String>,
    /// Space it belongs to.
    pub space_guid: Option<String>,
    /// Kind of data service, for example `postgresql`.
    pub data_service: String,
    /// Name of the store its backups go to.
    pub store: String,
    /// Where its agent listens; none while the broker did not say.
    pub agent_url: Option<String>,
    /// Its own `min_backup_count`; none means the operator's default.
    pub min_backup_count: Option<i32>,
    /// Its own `retention_time` in days; none means the operator's default.
    pub retention_days: Option<i32>,
    /// Its own smallest key length; none means the operator's default.
    pub min_encryption_key_length: Option<i32>,
    /// Leaves it out of the scheduled backup of all instances.
    pub exclude_from_auto_backup: bool,
    /// `None`, or `postgresql_wal`.
    pub backup_type: Option<String>,
    /// The owner changed the data service's credentials.
    pub credentials_updated_by_user: bool,
    /// End of the last backup that became `done`.
    pub last_done_at: Option<DateTime<Utc>>,
    /// Why the last scheduled backup was skipped, if it was.
    pub last_skip_reason: Option<String>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// What an owner may change of an instance; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct InstanceChanges {
    /// A new encryption key of the owner's.
    pub encryption_key: Option<secrecy::SecretString>,
    /// See [`ServiceInstance::exclude_from_auto_backup`].
    pub exclude_from_auto_backup: Option<bool>,
    /// See [`ServiceInstance::credentials_updated_by_user`].
    pub credentials_updated_by_user: Option<bool>,
    /// At least 0.
    pub min_backup_count: Option<i64>,
    /// Days, at least 0.
    pub retention_days: Option<i64>,
    /// See [`ServiceInstance::backup_type`]; the inner `None` takes it away.
    pub backup_type: Option<Option<String>>,
}

/// Why a scheduled backup of this instance is left out, judged by its state alone; none means it is eligible.
pub fn skip_reason(state: &str, agent_url: Option<&str>, is_excluded: bool) -> Option<String> {
    if is_excluded {
        return Some("excluded from automatic backups".into());
    }
    if !matches!(state, "provisioned" | "available") {
        return Some(format!("its state is {state}; provisioned or available is needed"));
    }
    agent_url.is_none().then(|| "the address of its backup agent is unknown".into())
}

#[cfg(test)]
mod tests {
    use super::skip_reason;

    #[test]
    fn only_live_reachable_and_included_instances_are_backed_up_by_the_schedule() {
        assert_eq!(skip_reason("available", Some("http://a"), false), None);
        assert_eq!(skip_reason("provisioned", Some("http://a"), false), None);
        for state in ["deploying", "failed", "stopped", "deleted", "a_new_word"] {
            assert!(skip_reason(state, Some("http://a"), false).is_some(), "{state}");
        }
        assert!(skip_reason("available", None, false).is_some());
        assert!(skip_reason("available", Some("http://a"), true).is_some());
    }
}
