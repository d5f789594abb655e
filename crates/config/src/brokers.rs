//! `service_brokers`: where service instances come from and how their agents are reached.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::bounds::Bounds;

/// One service broker, or a static inventory in its place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSettings {
    /// The manager's name for it; instances refer to it, so it must not change.
    pub name: String,
    /// Base URL of a broker that speaks HTTP.
    pub url: Option<Url>,
    /// User towards the broker.
    pub user: Option<String>,
    /// Password towards the broker.
    pub password: Option<SecretString>,
    /// PEM bundle of the certificate authorities to trust; none means the system's.
    pub ca_path: Option<PathBuf>,
    /// A YAML file of instances instead of a broker.
    pub static_inventory: Option<PathBuf>,
    /// Address of an instance's agent, with `{deployment_name}` or `{guid}`.
    pub backup_agent_url: Option<String>,
    /// How the manager proves itself to the agents.
    pub agent: AgentSettings,
    /// Kind of data service it provisions, for example `postgresql`.
    pub data_service: String,
    /// Name of the store its instances' backups go to.
    pub store: String,
    /// In which form they are stored.
    #[serde(default)]
    pub backup_format: BackupFormat,
}

/// The form of new backups; each backup is restored in the form it was made in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupFormat {
    /// zstd and age.
    #[default]
    Default,
    /// gzip and `openssl enc`, which has no authentication of its own.
    Legacy,
}

/// How the manager proves itself to the agents of a broker's instances, and they to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// User for basic authentication; goes with `password`.
    pub user: Option<String>,
    /// Password for basic authentication.
    pub password: Option<SecretString>,
    /// Bearer token, instead of user and password.
    pub token: Option<SecretString>,
    /// PEM bundle of the certificate authorities to trust; none means the system's.
    pub ca_path: Option<PathBuf>,
    /// Name the agents' certificates carry, when it is not the host of their URL; needs `ca_path`.
    pub server_name: Option<String>,
    /// PEM text of the manager's own certificate and private key, for mutual TLS; best as `identity_file`.
    pub identity: Option<SecretString>,
}

impl BrokerSettings {
    pub(crate) fn check(&self, path: &str, bounds: &mut Bounds) {
        let key = |name: &str| format!("{path}.{name}");
        bounds.require(!self.name.trim().is_empty(), &key("name"), "nothing", "a name");
        bounds.require(
            !self.data_service.trim().is_empty(),
            &key("data_service"),
            "nothing",
            "for example postgresql",
        );
        match (&self.url, &self.static_inventory) {
            (Some(url), None) => self.check_http(path, url, bounds),
            (None, Some(_)) => {
                let superfluous = self.user.is_some() || self.password.is_some() || self.ca_path.is_some();
                let found = "user, password or ca_path beside it";
                bounds.require(!superfluous, &key("static_inventory"), found, "a file alone");
            }
            (Some(_), Some(_)) => bounds.require(false, path, "url and static_inventory", "one of the two"),
            (None, None) => bounds.require(false, path, "neither url nor static_inventory", "one of the two"),
        }
        if let Some(template) = &self.backup_agent_url {
            let allowed = "an http(s) URL with {deployment_name}, {guid} or {instance_id}";
            bounds.require(
                is_agent_template(template),
                &key("backup_agent_url"),
                &format!("{template:?}"),
                allowed,
            );
        }
        self.agent.check(&key("agent"), bounds);
    }

    fn check_http(&self, path: &str, url: &Url, bounds: &mut Bounds) {
        let key = |name: &str| format!("{path}.{name}");
        let is_plain =
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let allowed = "an http(s) URL without user and password in it";
        bounds.require(is_plain, &key("url"), "another URL", allowed);
        bounds.require(self.user.is_some(), &key("user"), "nothing", "the user towards the broker");
        bounds.require(self.password.is_some(), &key("password"), "nothing", "password or password_file");
    }
}

impl AgentSettings {
    fn check(&self, path: &str, bounds: &mut Bounds) {
        let given = (&self.user, &self.password, &self.token);
        let is_one = matches!(given, (Some(_), Some(_), None) | (None, None, Some(_)));
        let found = if self.token.is_some() {
            "token together with user or password"
        } else {
            "no complete credential"
        };
        bounds.require(is_one, path, found, "user and password, or token alone (each secret also as …_file)");
        let has_ca = self.server_name.is_none() || self.ca_path.is_some();
        bounds.require(has_ca, &format!("{path}.server_name"), "it without ca_path", "both, or neither");
    }
}

/// Fills the place-holders with something harmless and looks whether a URL remains.
fn is_agent_template(template: &str) -> bool {
    let known = ["{deployment_name}", "{guid}", "{instance_id}"];
    let filled = known.iter().fold(template.to_owned(), |text, name| text.replace(name, "x0"));
    filled != template
        && !filled.contains(['{', '}'])
        && Url::parse(&filled).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
