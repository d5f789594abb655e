//! Definitions as RabbitMQ exports and imports them, and what distinguishes one of them from another.

use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::api::{Api, encode};
use crate::drivers::DriverError;
use crate::session::Session;

const LARGEST: u64 = 512 * 1024 * 1024;
/// The parameter by which clients are kept out of a virtual host.
pub(super) const LIMITS: &str = "vhost-limits";

/// A list in the definitions. The order is that in which things can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Bindings,
    Queues,
    Exchanges,
    Policies,
    Parameters,
    GlobalParameters,
    TopicPermissions,
    Permissions,
    Users,
    Vhosts,
}

impl Section {
    pub(super) const ALL: [Self; 10] = [
        Self::Bindings,
        Self::Queues,
        Self::Exchanges,
        Self::Policies,
        Self::Parameters,
        Self::GlobalParameters,
        Self::TopicPermissions,
        Self::Permissions,
        Self::Users,
        Self::Vhosts,
    ];

    fn key(self) -> &'static str {
        match self {
            Self::Bindings => "bindings",
            Self::Queues => "queues",
            Self::Exchanges => "exchanges",
            Self::Policies => "policies",
            Self::Parameters => "parameters",
            Self::GlobalParameters => "global_parameters",
            Self::TopicPermissions => "topic_permissions",
            Self::Permissions => "permissions",
            Self::Users => "users",
            Self::Vhosts => "vhosts",
        }
    }

    /// Its part of the API's paths and the members that name one thing, in the order of the path.
    pub(super) fn path(self) -> (&'static str, &'static [&'static str]) {
        match self {
            // Their last part is made by the server.
            Self::Bindings => {
                ("bindings", &["vhost", "source", "destination_type", "destination", "routing_key"])
            }
            Self::Queues => ("queues", &["vhost", "name"]),
            Self::Exchanges => ("exchanges", &["vhost", "name"]),
            Self::Policies => ("policies", &["vhost", "name"]),
            Self::Parameters => ("parameters", &["component", "vhost", "name"]),
            Self::GlobalParameters => ("global-parameters", &["name"]),
            Self::TopicPermissions => ("topic-permissions", &["vhost", "user", "exchange"]),
            Self::Permissions => ("permissions", &["vhost", "user"]),
            Self::Users => ("users", &["name"]),
            Self::Vhosts => ("vhosts", &["name"]),
        }
    }

    /// Whether two of them are the same thing, perhaps with other properties.
    pub(super) fn is_same(self, one: &Value, other: &Value) -> bool {
        let named = |value: &Value| -> Vec<Value> {
            self.path().1.iter().map(|member| value.get(member).cloned().unwrap_or_default()).collect()
        };
        match self {
            Self::Bindings => one.get("arguments") == other.get("arguments") && named(one) == named(other),
            _ => named(one) == named(other),
        }
    }

    /// Whether a thing must be removed before it can get other properties.
    pub(super) fn is_fixed(self) -> bool {
        matches!(self, Self::Queues | Self::Exchanges)
    }

    /// The path of one thing.
    pub(super) fn path_of(self, value: &Value) -> String {
        let (section, members) = self.path();
        let parts = members.iter().map(|member| encode(text(value, member)));
        std::iter::once(section.to_owned()).chain(parts).collect::<Vec<_>>().join("/")
    }
}

/// The definitions of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Definitions(Map<String, Value>);

impl Definitions {
    pub(super) fn read(api: &Api, session: &Session) -> Result<Self, DriverError> {
        match api.get(session, "definitions")? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(DriverError::data_service("the server's definitions are unclear")),
        }
    }

    pub(super) fn parse(input: &mut dyn Read) -> Result<Self, DriverError> {
        let mut bytes = Vec::new();
        input.take(LARGEST).read_to_end(&mut bytes).map_err(DriverError::Stream)?;
        let unclear = |e| DriverError::Content(format!("these are no definitions: {e}"));
        let definitions: Self = serde_json::from_slice(&bytes).map_err(unclear)?;
        for section in Section::ALL {
            let list = definitions.0.get(section.key());
            let is_list = list.is_some_and(|list| list.as_array().is_some_and(|l| l.iter().all(Value::is_object)));
            if !is_list {
                return Err(DriverError::Content(format!("the list of {} is missing", section.key())));
            }
        }
        Ok(definitions)
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, DriverError> {
        serde_json::to_vec_pretty(&self.0).map_err(|e| DriverError::Stream(e.into()))
    }

    pub(super) fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    pub(super) fn version(&self) -> &str {
        self.0.get("rabbitmq_version").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn list(&self, section: Section) -> &[Value] {
        self.0.get(section.key()).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn list_mut(&mut self, section: Section) -> Option<&mut Vec<Value>> {
        self.0.get_mut(section.key()).and_then(Value::as_array_mut)
    }

    /// Names of the virtual hosts.
    pub(super) fn vhosts(&self) -> Vec<&str> {
        self.list(Section::Vhosts).iter().map(|vhost| text(vhost, "name")).collect()
    }

    /// Leaves out what a restore must not touch: users that are kept with their rights, and what names the cluster.
    pub(super) fn without_kept(mut self, users: &[String]) -> Self {
        let is_kept = |value: &Value, member: &str| users.iter().any(|user| user == text(value, member));
        for section in Section::ALL {
            let Some(list) = self.list_mut(section) else { continue };
            list.retain(|value| match section {
                Section::Users => !is_kept(value, "name"),
                Section::Permissions | Section::TopicPermissions => !is_kept(value, "user"),
                Section::GlobalParameters => {
                    !matches!(text(value, "name"), "internal_cluster_id" | "cluster_name")
                }
                _ => true,
            });
        }
        self
    }

    /// With everybody kept out of every virtual host.
    pub(super) fn closed(&self) -> Self {
        let mut closed = self.clone();
        let limits = self.vhosts().into_iter().map(|vhost| {
            serde_json::json!({"vhost": vhost, "component": LIMITS, "name": "limits", "value": {"max-connections": 0}})
        });
        let limits: Vec<Value> = limits.collect();
        if let Some(parameters) = closed.list_mut(Section::Parameters) {
            parameters.retain(|parameter| text(parameter, "component") != LIMITS);
            parameters.extend(limits);
        }
        closed
    }
}

/// A member that is a text; empty without one.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}
