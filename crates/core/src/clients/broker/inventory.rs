//! The static inventory: a YAML file of service instances for people who have no service broker (spec 2.6).
//! Takes the text; whoever owns the configuration reads the file, at each synchronisation, so that edits are seen.

use std::collections::HashSet;

use config::{Config, File, FileFormat};
use serde::Deserialize;

use super::BrokerInstance;
use super::instance::{is_usable_guid, parse_time};

/// Why an inventory is not usable; the message says where.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Not YAML.
    #[error("the inventory is not valid YAML: {0}")]
    Syntax(String),
    /// A key or value that is not expected.
    #[error("{path}: {detail}")]
    Content {
        /// Where in the file, for example `instances[0].guid`.
        path: String,
        /// What is wrong there.
        detail: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    instances: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    guid: String,
    #[serde(default)]
    backup_agent_url: Option<String>,
    #[serde(default)]
    data_service: Option<String>,
    #[serde(default)]
    deployment_name: Option<String>,
    #[serde(default)]
    plan_guid: Option<String>,
    #[serde(default)]
    service_guid: Option<String>,
    #[serde(default)]
    organization_guid: Option<String>,
    #[serde(default)]
    space_guid: Option<String>,
    #[serde(default)]
    deleted_at: Option<String>,
}

/// Reads an inventory. An instance counts as deleted only when its `deleted_at` says so; leaving it out of the file
/// changes nothing.
pub fn parse_inventory(text: &str) -> Result<Vec<BrokerInstance>, InventoryError> {
    let config = Config::builder()
        .add_source(File::from_str(text, FileFormat::Yaml))
        .build()
        .map_err(|error| InventoryError::Syntax(error.to_string()))?;
    let inventory: Inventory = serde_path_to_error::deserialize(config).map_err(|error| {
        let path = error.path().to_string();
        InventoryError::Content { path, detail: error.into_inner().to_string() }
    })?;
    let mut guids = HashSet::new();
    let mut instances = Vec::new();
    for (index, entry) in inventory.instances.into_iter().enumerate() {
        let at = |key: &str, detail: String| InventoryError::Content {
            path: format!("instances[{index}].{key}"),
            detail,
        };
        if !is_usable_guid(&entry.guid) {
            return Err(at("guid", format!("{:?} is not a usable GUID", entry.guid)));
        }
        if !guids.insert(entry.guid.clone()) {
            return Err(at("guid", format!("{} is listed twice", entry.guid)));
        }
        let deleted_at = match &entry.deleted_at {
            None => None,
            Some(text) => Some(
                parse_time(text)
                    .ok_or_else(|| at("deleted_at", format!("{text:?} is not an ISO 8601 time")))?,
            ),
        };
        instances.push(entry.into_instance(deleted_at));
    }
    Ok(instances)
}

impl Entry {
    fn into_instance(self, deleted_at: Option<chrono::DateTime<chrono::Utc>>) -> BrokerInstance {
        BrokerInstance {
            broker_resource_id: None,
            guid: self.guid,
            plan_guid: self.plan_guid,
            service_guid: self.service_guid,
            organization_guid: self.organization_guid,
            space_guid: self.space_guid,
            tenant_id: None,
            deployment_name: self.deployment_name,
            state: if deleted_at.is_some() { "deleted" } else { "available" }.to_owned(),
            deleted: deleted_at.is_some(),
            deleted_at,
            backup_agent_url: self.backup_agent_url,
            data_service: self.data_service,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_read() {
        let text = "
instances:
  - guid: g-1
    backup_agent_url: https://10.0.0.1:9443
    data_service: postgresql
  - guid: G-2
    deployment_name: d-2
    deleted_at: 2026-01-02T03:04:05Z
";
        let instances = parse_inventory(text).unwrap();
        assert_eq!(instances.len(), 2);
        assert_eq!(instances[0].backup_agent_url.as_deref(), Some("https://10.0.0.1:9443"));
        assert_eq!((instances[1].guid.as_str(), instances[1].deleted), ("G-2", true));
    }

    #[test]
    fn an_empty_list_is_an_inventory_but_an_empty_file_is_not() {
        assert!(parse_inventory("instances: []").unwrap().is_empty());
        assert!(parse_inventory("").is_err());
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (text, place) in [
            ("instances: [{guid: a, agent: x}]", "agent"),
            ("instances: [{guid: a}, {guid: a}]", "instances[1].guid"),
            ("instances: [{guid: '../a'}]", "instances[0].guid"),
            ("instances: [{guid: a, deleted_at: soon}]", "instances[0].deleted_at"),
            ("instances: [{deployment_name: a}]", "instances[0]"),
            ("instances: []\nbrokers: []", "brokers"),
        ] {
            let error = parse_inventory(text).unwrap_err().to_string();
            assert!(error.contains(place), "{text}: {error}");
        }
    }
}
