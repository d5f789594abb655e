//! How a backup store is configured, the same way in the manager's and in the agent's file. What serde cannot see is
//! found by [`StoreConfig::faults`]; nothing here contacts a provider. `Debug` never shows a secret.

mod faults;
mod given;

use std::path::PathBuf;

use secrecy::SecretString;

pub use faults::ConfigFault;

/// One entry of `stores:`; `kind` chooses the provider.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// A directory on this machine or a mounted one. It must exist already, so that a missing mount is noticed.
    Local {
        /// The directory below which all objects are kept.
        directory: PathBuf,
    },
    /// A bucket at Amazon S3 or at a server that speaks the same protocol.
    S3(S3Config),
    /// A container of Azure Blob Storage.
    Azure(AzureConfig),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsConfig),
}

/// `kind: s3`.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The bucket; it must exist.
    pub bucket: String,
    /// Folder in the bucket below which all objects are kept.
    pub prefix: Option<String>,
    /// The bucket's region; `us-east-1` if absent, which most other servers accept.
    pub region: String,
    /// Address of the server, for example `https://s3.example.org:9000`; absent: Amazon's.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path of an address instead of in its host name.
    pub path_style: bool,
    /// Absent: the credentials come from the machine: environment, web identity or instance profile.
    pub access_key_id: Option<String>,
    /// Goes with the access key id.
    pub secret_access_key: Option<SecretString>,
    /// For temporary keys.
    pub session_token: Option<SecretString>,
    /// How the provider is reached.
    pub connection: Connection,
}

/// `kind: azure`.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// The storage account.
    pub account: String,
    /// The container; it must exist.
    pub container: String,
    /// Folder in the container below which all objects are kept.
    pub prefix: Option<String>,
    /// The account's key. Without it and without a token, the managed identity of the machine is used.
    pub access_key: Option<SecretString>,
    /// A shared access signature, as the portal shows it.
    pub sas_token: Option<SecretString>,
    /// Address of the account, when it is not the public cloud's; for an emulator with the account in the path.
    pub endpoint: Option<String>,
    /// How the provider is reached.
    pub connection: Connection,
}

/// `kind: gcs`.
#[derive(Debug, Clone)]
pub struct GcsConfig {
    /// The bucket; it must exist.
    pub bucket: String,
    /// Folder in the bucket below which all objects are kept.
    pub prefix: Option<String>,
    /// JSON file with the key of a service account; absent: the application default credentials of the machine.
    pub service_account_path: Option<PathBuf>,
    /// Address of the server, when it is not Google's.
    pub endpoint: Option<String>,
    /// How the provider is reached.
    pub connection: Connection,
}

/// What the providers have in common.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// PEM file with the authorities that the server's certificate is checked against, instead of the system's.
    pub ca_path: Option<PathBuf>,
    /// Whether an address without TLS is accepted.
    pub allow_http: bool,
}

impl StoreConfig {
    /// The word of the configuration: `local`, `s3`, `azure` or `gcs`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Local { .. } => "local",
            Self::S3(_) => "s3",
            Self::Azure(_) => "azure",
            Self::Gcs(_) => "gcs",
        }
    }

    pub(crate) fn prefix(&self) -> Option<&str> {
        let prefix = match self {
            Self::Local { .. } => None,
            Self::S3(s3) => s3.prefix.as_deref(),
            Self::Azure(azure) => azure.prefix.as_deref(),
            Self::Gcs(gcs) => gcs.prefix.as_deref(),
        };
        prefix.map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty())
    }
}
