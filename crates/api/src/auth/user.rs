//! Somebody whose credentials were right.

use backup_config::{Role, UserSettings};
use backup_core::domain::scope::{Limits, Scope};

/// Who asks, and what exists for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
}

impl From<&UserSettings> for User {
    fn from(settings: &UserSettings) -> Self {
        let scope = match settings.role {
            Role::Operator | Role::Auditor => Scope::Everything,
            Role::Owner => Scope::limited(Limits {
                instances: settings.instances.clone(),
                organizations: settings.organizations.clone(),
                spaces: settings.spaces.clone(),
            }),
        };
        Self { name: settings.name.clone(), role: settings.role, scope }
    }
}
