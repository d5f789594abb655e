//! A service instance as a service broker (or the static inventory) describes it.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::BrokerError;
use super::page::Resource;
use crate::clients::http::tame;

/// One instance of a listing, checked as far as the manager relies on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInstance {
    /// The broker's own number of the instance; the static inventory has none.
    pub broker_resource_id: Option<i64>,
    /// `guid_at_tenant`: the global name. ASCII letters, digits, `-`, `_`, `.`, at most 255, no leading dot.
    pub guid: String,
    /// The service plan.
    pub plan_guid: Option<String>,
    /// The service offering.
    pub service_guid: Option<String>,
    /// Organization of the owner.
    pub organization_guid: Option<String>,
    /// Space of the owner.
    pub space_guid: Option<String>,
    /// The platform the instance belongs to.
    pub tenant_id: Option<String>,
    /// Name of the deployment that runs the instance.
    pub deployment_name: Option<String>,
    /// As the broker spells it; unknown states are kept.
    pub state: String,
    /// The broker says that the instance was deleted.
    pub deleted: bool,
    /// When, if the broker says so.
    pub deleted_at: Option<DateTime<Utc>>,
    /// An explicit address of the backup agent.
    pub backup_agent_url: Option<String>,
    /// Kind of data service, if told.
    pub data_service: Option<String>,
}

impl BrokerInstance {
    /// Checks a resource of a page.
    pub(super) fn parse(resource: Resource) -> Result<Self, BrokerError> {
        let bad = |detail: String| BrokerError::BadInstance { detail };
        let number = resource.id.map_or_else(|| "without id".to_owned(), |id| format!("with id {id}"));
        let guid = resource.guid_at_tenant.unwrap_or_default();
        if !is_usable_guid(&guid) {
            return Err(bad(format!("the resource {number} has the guid_at_tenant {:?}", tame(&guid))));
        }
        let deleted_at = match resource.deleted_at.as_deref().map(str::trim) {
            None | Some("") => None,
            // A deletion whose time cannot be read must not be guessed: retention counts from it.
            Some(text) => Some(
                parse_time(text).ok_or_else(|| bad(format!("{guid} has the deleted_at {:?}", tame(text))))?,
            ),
        };
        let state = tame(&resource.state.unwrap_or_default());
        let word = |text: Option<String>| text.map(|text| tame(&text));
        let context = resource.context.unwrap_or_default();
        Ok(Self {
            broker_resource_id: resource.id,
            deleted: state == "deleted" || deleted_at.is_some(),
            deleted_at,
            guid,
            plan_guid: word(resource.plan_guid),
            service_guid: word(resource.service_guid),
            organization_guid: word(context.organization_guid),
            space_guid: word(context.space_guid),
            tenant_id: word(resource.tenant_id),
            deployment_name: word(resource.deployment_name),
            state,
            backup_agent_url: resource.backup_agent_url.filter(|url| !url.is_empty()),
            data_service: word(resource.data_service),
        })
    }
}

/// The GUID becomes part of object names and paths; nothing that could leave its place is accepted.
pub(super) fn is_usable_guid(guid: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !guid.is_empty() && guid.len() <= 255 && !guid.starts_with('.') && guid.chars().all(plain)
}

/// Reads ISO 8601, and the form `2023-04-11 08:52:48 UTC` that some brokers use.
pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let iso = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc)).ok();
    let utc = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    iso.or_else(|| utc("%Y-%m-%d %H:%M:%S%.f UTC")).or_else(|| utc("%Y-%m-%dT%H:%M:%S%.f")).or_else(|| {
        DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f %z").map(|t| t.with_timezone(&Utc)).ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(resource: Value) -> Result<BrokerInstance, BrokerError> {
        BrokerInstance::parse(serde_json::from_value(resource).unwrap())
    }

    #[test]
    fn a_full_resource_is_understood_and_unknown_fields_and_states_are_tolerated() {
        let instance = parse(json!({"id": 7, "plan_guid": "p", "service_guid": "s", "state": "levitating",
            "context": {"organization_guid": "o", "space_guid": "sp", "parameters": {"x": 1}},
            "deployment_name": "d-7", "guid_at_tenant": "g-7", "tenant_id": "t", "deleted_at": null,
            "is_locked": false, "credentials": [], "vm_details": [{}], "new": "field"}))
        .unwrap();
        assert_eq!(instance.guid, "g-7");
        assert_eq!(instance.organization_guid.as_deref(), Some("o"));
        assert_eq!(instance.state, "levitating");
        assert!(!instance.deleted);
    }

    #[test]
    fn only_the_brokers_word_makes_an_instance_deleted() {
        let deleted = |extra: Value| {
            let mut resource = json!({"guid_at_tenant": "g"});
            resource.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            parse(resource).unwrap().deleted
        };
        assert!(!deleted(json!({})));
        assert!(!deleted(json!({"state": "failed"})));
        assert!(!deleted(json!({"deleted_at": ""})));
        assert!(deleted(json!({"state": "deleted"})));
        assert!(deleted(json!({"state": "available", "deleted_at": "2023-04-11T08:52:48.209Z"})));
        assert!(deleted(json!({"deleted_at": "2023-04-11 08:52:48 UTC"})));
    }

    #[test]
    fn a_resource_without_a_usable_guid_or_with_an_unreadable_deletion_is_refused() {
        for guid in [json!(null), json!(""), json!("../x"), json!("a/b"), json!("a b")] {
            assert!(parse(json!({"guid_at_tenant": guid})).is_err(), "{guid}");
        }
        assert!(parse(json!({"guid_at_tenant": "g", "deleted_at": "yesterday"})).is_err());
    }
}
