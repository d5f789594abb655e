//! `auth`: the users of the API.

use backup_daemon::config::Mistake;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The `auth` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// Who may use the API.
    #[serde(default)]
    pub users: Vec<UserSettings>,
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
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Operator,
    /// Read only.
    Auditor,
}

impl AuthSettings {
    /// What is wrong with the users.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.users.is_empty() {
            mistakes.push(Mistake::new("auth.users", "nothing", "at least one user"));
        }
        for (index, user) in self.users.iter().enumerate() {
            let key = |name: &str| format!("auth.users[{index}].{name}");
            if user.name.is_empty() || user.name.contains(':') || user.name.chars().any(char::is_control) {
                mistakes.push(Mistake::new(key("name"), format!("{:?}", user.name), "a name without colons"));
            }
            if self.users.iter().take(index).any(|other| other.name == user.name) {
                mistakes.push(Mistake::new(
                    key("name"),
                    format!("{} a second time", user.name),
                    "different names",
                ));
            }
            let hash = user.password_hash.expose_secret();
            if !hash.starts_with("$argon2id$v=19$") || hash.split('$').count() != 6 {
                let allowed =
                    "an Argon2id hash ($argon2id$v=19$…), made with: backup-manager-api hash-password";
                mistakes.push(Mistake::new(key("password_hash"), "another text", allowed));
            }
        }
        mistakes
    }
}
