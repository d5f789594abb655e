//! Which instances somebody may see and touch. Decided in SQL, by the instance's row as it is at that moment
//! (`store/service_instances.rs`): instances change their space, and a copy here would not hear of it.

use std::sync::Arc;

/// The instances that exist for somebody; every other one is unknown to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Everything,
    /// Those that one of the sets names; no set, no instance.
    Limited(Arc<Limits>),
}

/// The sets of a limited scope; an instance needs to be in one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// GUIDs of instances.
    pub instances: Vec<String>,
    /// GUIDs of organizations.
    pub organizations: Vec<String>,
    /// GUIDs of spaces.
    pub spaces: Vec<String>,
}

impl Scope {
    /// The instances in one of the sets.
    pub fn limited(limits: Limits) -> Self {
        Self::Limited(Arc::new(limits))
    }

    /// The sets; none when there is no limit.
    pub fn limits(&self) -> Option<&Limits> {
        match self {
            Self::Everything => None,
            Self::Limited(limits) => Some(limits),
        }
    }
}
