//! The names of things as types, so that none can be taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

numeric_id!(
    /// The manager's number of a service instance.
    ServiceInstanceId
);
numeric_id!(
    /// The manager's number of a backup: `id` on the wire.
    BackupId
);
numeric_id!(
    /// The manager's number of a restore.
    RestoreId
);
numeric_id!(
    /// The manager's number of a rehearsal.
    RehearsalId
);
numeric_id!(
    /// The number of a reconciliation.
    ReconciliationId
);
numeric_id!(
    /// The manager's number of a service broker.
    ServiceBrokerId
);
numeric_id!(
    /// The manager's number of an encryption key of an instance.
    EncryptionKeyId
);
numeric_id!(
    /// The manager's number of a rebuild of the catalogue.
    RebuildId
);

/// The platform's global name of a service instance: `instance_id` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceInstanceGuid(String);

impl ServiceInstanceGuid {
    /// Accepts 1 to 255 printable characters without slashes; the platform's GUIDs are well inside that.
    pub fn parse(text: &str) -> Option<Self> {
        let is_fine = |c: char| !c.is_control() && c != '/' && c != '\\';
        ((1..=255).contains(&text.len()) && text.chars().all(is_fine)).then(|| Self(text.to_owned()))
    }

    /// The GUID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceInstanceGuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceInstanceGuid;

    #[test]
    fn a_guid_is_short_printable_and_no_path() {
        assert!(ServiceInstanceGuid::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7").is_some());
        for bad in ["", "a/b", "a\\b", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(ServiceInstanceGuid::parse(bad).is_none(), "{bad:?}");
        }
    }
}
