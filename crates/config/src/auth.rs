//! `auth`: the users of the API, and the issuer whose tokens it accepts.

use backup_daemon::config::Mistake;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::bounds::Bounds;
use crate::oidc::OidcSettings;

/// Longest GUID in the database.
const LONGEST_GUID: usize = 255;

/// The actor of what the manager does by itself.
const WORKER: &str = "worker";

/// The `auth` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// Who may use the API.
    #[serde(default)]
    pub users: Vec<UserSettings>,
    /// Whose tokens are accepted below `/v1`; none means nobody's.
    pub oidc: Option<OidcSettings>,
}

/// One user of the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// Name, as given with HTTP basic authentication.
    pub name: String,
    /// Argon2id hash in PHC form; `backup-manager-api hash-password` makes one.
    pub password_hash: SecretString,
    /// What the user may do.
    pub role: Role,
    /// GUIDs of the instances an owner owns.
    #[serde(default)]
    pub instances: Vec<String>,
    /// GUIDs of the organizations whose instances an owner owns.
    #[serde(default)]
    pub organizations: Vec<String>,
    /// GUIDs of the spaces whose instances an owner owns.
    #[serde(default)]
    pub spaces: Vec<String>,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Operator,
    /// Read only.
    Auditor,
    /// Everything an owner does, with their own instances; no others exist for them.
    Owner,
}

impl AuthSettings {
    /// What is wrong with the users and the issuer.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut bounds = Bounds::default();
        bounds.require(!self.users.is_empty(), "auth.users", "nothing", "at least one user");
        for (index, user) in self.users.iter().enumerate() {
            let path = format!("auth.users[{index}]");
            user.check(&path, &mut bounds);
            let is_new = self.users.iter().take(index).all(|other| other.name != user.name);
            let found = format!("{} a second time", user.name);
            bounds.require(is_new, &format!("{path}.name"), &found, "different names");
        }
        if let Some(oidc) = &self.oidc {
            oidc.check("auth.oidc", &mut bounds);
        }
        bounds.mistakes
    }
}

impl UserSettings {
    fn check(&self, path: &str, bounds: &mut Bounds) {
        let key = |name: &str| format!("{path}.{name}");
        let is_name =
            !self.name.is_empty() && !self.name.contains(|c: char| c.is_control() || ":~".contains(c));
        let found = format!("{:?}", self.name);
        // A colon also makes the bearers of an issuer's tokens, `oidc:…`, nobody else's names.
        bounds.require(is_name, &key("name"), &found, "a name without colons and tildes");
        let allowed = "another name: in the audit, this one is the manager's own";
        bounds.require(self.name != WORKER, &key("name"), &found, allowed);
        let hash = self.password_hash.expose_secret();
        let is_hash = hash.starts_with("$argon2id$v=19$") && hash.split('$').count() == 6;
        let allowed = "an Argon2id hash ($argon2id$v=19$…), made with: backup-manager-api hash-password";
        bounds.require(is_hash, &key("password_hash"), "another text", allowed);
        let sets = [
            ("instances", &self.instances),
            ("organizations", &self.organizations),
            ("spaces", &self.spaces),
        ];
        if self.role == Role::Owner {
            let has_some = sets.iter().any(|(_, set)| !set.is_empty());
            let allowed =
                "an owner has at least one of instances, organizations and spaces, each a list of GUIDs";
            bounds.require(has_some, path, "an owner of nothing", allowed);
        }
        for (name, set) in sets {
            let is_allowed = self.role == Role::Owner || set.is_empty();
            bounds.require(is_allowed, &key(name), "a list for another role", "only with role: owner");
            for (index, guid) in set.iter().enumerate() {
                let is_guid = (1..=LONGEST_GUID).contains(&guid.len())
                    && !guid.contains(|c: char| c.is_control() || c.is_whitespace() || "/\\".contains(c));
                let found = format!("{guid:?}");
                let allowed = "a GUID, for example 7c9e6679-7425-40de-944b-e07fc1f90ae7";
                bounds.require(is_guid, &format!("{}[{index}]", key(name)), &found, allowed);
            }
        }
    }
}
