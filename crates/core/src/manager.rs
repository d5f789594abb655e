//! What every action needs in hand: the database and the values the daemons read from their configuration.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_objects::Store;

use crate::clients::agent::{AgentClient, AgentCredential};
use crate::clients::broker::BrokerClient;
use crate::domain::cipher::KeyRing;
use crate::domain::operation::Failure;
use crate::domain::places::Limits;
use crate::domain::reason::ReasonCode;
use crate::domain::stored_form::StoredForm;
use crate::store::Database;
use crate::{Error, Result, Shares};

/// How long what is over is remembered; none means for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// Events of the audit trail.
    pub audit_events: Option<Duration>,
    /// Restores, counted from their end.
    pub restores: Option<Duration>,
    /// Rehearsals, counted from their end.
    pub rehearsals: Option<Duration>,
    /// Deleted instances of which nothing else is left, counted from their deletion.
    pub deleted_instances: Option<Duration>,
}

impl Default for HistoryPolicy {
    fn default() -> Self {
        let long = Some(Duration::from_secs(400 * 24 * 3600));
        Self { audit_events: long, restores: long, rehearsals: long, deleted_instances: long }
    }
}

/// The operator's rules.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Default of an instance's `min_backup_count`.
    pub min_backup_count: i32,
    /// Default of an instance's `retention_time`, in days.
    pub retention_days: i32,
    /// How long backups of a deleted instance stay, in days.
    pub deleted_retention_days: i32,
    /// How long an automatically marked backup can be undeleted.
    pub undo_window: Duration,
    /// Whether a client's `DELETE` may remove a backup that the minimum protects from retention.
    pub allow_client_deletion_below_minimum: bool,
    /// Window over which a fan-out spreads the start of instances.
    pub full_backup_spread: Duration,
    /// Default of an instance's `min_encryption_key_length`, in characters.
    pub min_encryption_key_length: i32,
    /// Whether owners may download backups made with their own key.
    pub allow_backup_download: bool,
    /// Attempts of a `backup_agent_backups` job.
    pub dispatch_attempts: i32,
    /// Deadline of a backup or restore, counted from its first dispatch.
    pub operation_timeout: Duration,
    /// How often a running operation is asked for.
    pub watch_interval: Duration,
    /// How long an agent may take to confirm a cancellation.
    pub cancel_wait: Duration,
    /// Most backups running at once.
    pub limits: Limits,
    /// Largest part of a stored backup, in bytes.
    pub part_size_limit: u64,
    /// zstd level agents are asked for.
    pub compression_level: i32,
    /// Most rehearsals a run of the schedule asks for.
    pub verify_backup_budget: i64,
    /// How long what is over is remembered.
    pub history: HistoryPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_backup_count: 5,
            retention_days: 7,
            deleted_retention_days: 30,
            undo_window: Duration::from_secs(24 * 3600),
            allow_client_deletion_below_minimum: true,
            full_backup_spread: Duration::ZERO,
            min_encryption_key_length: 8,
            allow_backup_download: true,
            dispatch_attempts: 5,
            operation_timeout: Duration::from_secs(24 * 3600),
            watch_interval: Duration::from_secs(10),
            cancel_wait: Duration::from_secs(60),
            limits: Limits::default(),
            part_size_limit: 5 << 30,
            compression_level: 3,
            verify_backup_budget: 10,
            history: HistoryPolicy::default(),
        }
    }
}

/// Where the list of a broker's instances comes from.
#[derive(Debug, Clone)]
pub enum BrokerSource {
    /// A service broker that speaks HTTP.
    Http(BrokerClient),
    /// A YAML file, read again at every synchronisation.
    StaticInventory(PathBuf),
}

/// One configured service broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its name in the configuration.
    pub name: String,
    /// Where its instances are listed.
    pub source: BrokerSource,
    /// Talks to the agents beside its instances.
    pub agent: AgentClient,
    /// Proves the manager to those agents.
    pub agent_credential: AgentCredential,
    /// Template of an agent's address, with `{deployment_name}` and `{guid}`.
    pub agent_url_template: Option<String>,
    /// Kind of data service it provisions.
    pub data_service: String,
    /// Name of the store its instances' backups go to.
    pub store: String,
    /// In which form they are stored there.
    pub form: StoredForm,
}

/// Calls of one store at once: enough for any number of slow downloads, and a store that hangs holds no more threads.
const STORE_CALLS: usize = 16;

/// How long a call of a store may take. Shorter than the API lets a request wait, so that it says what hangs.
const STORE_PATIENCE: Duration = Duration::from_secs(30);

/// Everything the daemons hand over.
#[derive(Debug)]
pub struct Settings {
    /// The operator's rules.
    pub policy: Policy,
    /// The configured service brokers.
    pub brokers: Vec<Broker>,
    /// The configured stores by name.
    pub stores: HashMap<String, Store>,
    /// The keys of the encrypted columns.
    pub key_ring: KeyRing,
}

/// Handed to every action; cheap to clone.
#[derive(Debug, Clone)]
pub struct Manager {
    /// The product's database.
    pub database: Database,
    settings: Arc<Settings>,
    shares: Shares,
}

impl Manager {
    /// Puts the parts together; touches nothing.
    pub fn new(database: Database, mut settings: Settings) -> Self {
        let stores = settings.stores.into_iter();
        settings.stores =
            stores.map(|(name, store)| (name, store.bounded(STORE_CALLS, STORE_PATIENCE))).collect();
        Self { database, settings: Arc::new(settings), shares: Shares::default() }
    }

    /// The manager of a worker group with so many slots, which its brokers and agents share. Without, nothing is bounded.
    #[must_use]
    pub fn with_slots(&self, count: usize) -> Self {
        Self { shares: Shares::new(count, self.settings.brokers.len() > 1), ..self.clone() }
    }

    /// How the slots of this worker group are shared.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Threads that block in the database or in a store at most, whatever hangs. With as many threads and some more,
    /// neither waits for the other.
    pub fn most_blocked_threads(&self) -> usize {
        let connections = usize::try_from(self.database.pool().max_size()).unwrap_or(1);
        // One more is kept for health checks.
        connections.saturating_add(1).saturating_add(self.settings.stores.len().saturating_mul(STORE_CALLS))
    }

    /// The operator's rules.
    pub fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// The configured service brokers.
    pub fn brokers(&self) -> &[Broker] {
        &self.settings.brokers
    }

    /// The keys of the encrypted columns.
    pub fn key_ring(&self) -> &KeyRing {
        &self.settings.key_ring
    }

    /// A configured broker by name; [`Error::NotConfigured`] when it has left the configuration.
    pub fn broker(&self, name: &str) -> Result<&Broker> {
        self.settings
            .brokers
            .iter()
            .find(|broker| broker.name == name)
            .ok_or_else(|| Error::NotConfigured { what: "service broker", name: name.to_owned() })
    }

    /// A configured store by name; [`Error::NotConfigured`] when it has left the configuration.
    pub fn store(&self, name: &str) -> Result<&Store> {
        self.settings
            .stores
            .get(name)
            .ok_or_else(|| Error::NotConfigured { what: "store", name: name.to_owned() })
    }

    /// The names of the configured stores, in any order.
    pub fn store_names(&self) -> Vec<String> {
        self.settings.stores.keys().cloned().collect()
    }

    /// The configured stores with the word for their kind, in the order of their names.
    pub fn stores(&self) -> Vec<(&str, &'static str)> {
        let mut stores: Vec<_> =
            self.settings.stores.iter().map(|(name, store)| (name.as_str(), store.kind())).collect();
        stores.sort_unstable();
        stores
    }

    /// The settings behind an `Arc`, for work on other threads.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }
}

impl From<&Error> for Failure {
    /// What an operation's row says when the manager itself could not go on.
    fn from(error: &Error) -> Self {
        let reason = match error {
            Error::Objects(_) => ReasonCode::StoreError,
            _ => ReasonCode::ConfigurationError,
        };
        Self::new(reason, error.chain())
    }
}
