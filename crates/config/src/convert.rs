//! From the file's words to the values of `backup-core`: opens stores, reads certificate authorities, builds clients.

use std::path::Path;
use std::time::Duration;

use backup_core::clients::{AgentClient, AgentCredential, BrokerClient, BrokerEndpoint, TlsOptions};
use backup_core::domain::cipher::KeyRing;
use backup_core::domain::stored_form::StoredForm;
use backup_core::jobs::ScheduleSettings;
use backup_core::store::Database;
use backup_core::{Broker, BrokerSource, Policy};
use backup_daemon::config::{ConfigError, Mistake};
use backup_daemon::exit::chain;
use backup_objects::Store;
use secrecy::{ExposeSecret, SecretString};

use crate::brokers::{AgentSettings, BackupFormat, BrokerSettings};
use crate::settings::Settings;

impl Settings {
    /// The operator's rules.
    pub fn policy(&self) -> Policy {
        Policy {
            min_backup_count: narrow(self.min_backups_per_instance),
            retention_days: narrow(self.min_backup_age),
            deleted_retention_days: narrow(self.retention_time_for_backups_of_a_deleted_instance),
            undo_window: self.undo_window.get(),
            allow_client_deletion_below_minimum: self.allow_client_deletion_below_minimum,
            full_backup_spread: minutes(self.full_backup_spread),
            min_encryption_key_length: narrow(self.custom_encryption_key_min_length),
            allow_backup_download: self.allow_backup_download,
            dispatch_attempts: narrow(self.jobs.backup_agent.max_attempts),
            operation_timeout: self.jobs.backup_agent.timeout.get(),
            watch_interval: self.jobs.watcher.interval.get(),
            cancel_wait: self.jobs.backup_agent.cancel_wait.get(),
            limits: self.limits.core(),
            part_size_limit: u64::try_from(self.backups.file_size_limit).unwrap_or(u64::MAX),
            compression_level: narrow(self.backups.compression_level),
            verify_backup_budget: self.verify_backup_budget,
            history: self.history.policy(),
        }
    }

    /// The schedules, for workers to declare.
    pub fn schedules(&self) -> ScheduleSettings {
        ScheduleSettings {
            full_backup_repeat: self.full_backup_repeat.clone(),
            delete_backup_repeat: self.delete_backup_repeat.clone(),
            update_instance_state_repeat: self.update_instance_state_repeat.clone(),
            reconcile_repeat: self.reconcile_cron().cloned(),
            verify_backup_repeat: self.verify_cron().cloned(),
            time_zone: self.time_zone.clone(),
        }
    }

    /// The manager's database; connects when first used.
    pub fn database(&self) -> Database {
        let size = u32::try_from(self.database.pool_size).unwrap_or(1).max(1);
        Database::new(self.database.url.expose_secret(), size, self.database.acquire_timeout.get())
    }

    /// Everything else the core needs. What only the file system can tell, such as a missing directory of a
    /// store, is reported like any other mistake of the file.
    pub fn core(&self) -> Result<backup_core::Settings, ConfigError> {
        let mut mistakes = Vec::new();
        let stores = self.stores.iter().filter_map(|(name, config)| {
            let opened = Store::open(name, config);
            note(opened, format!("stores.{name}"), "a store that can be opened", &mut mistakes)
                .map(|store| (name.clone(), store))
        });
        let stores = stores.collect();
        let mut brokers = Vec::new();
        for (index, broker) in self.service_brokers.iter().enumerate() {
            brokers.extend(convert_broker(broker, &format!("service_brokers[{index}]"), &mut mistakes));
        }
        let keys = self.backup_manager_encryption_keys.iter().map(|key| (key.id.clone(), key.key.clone()));
        let key_ring = KeyRing::new(keys.collect());
        let path = "backup_manager_encryption_keys".to_owned();
        let key_ring = note(key_ring, path, "keys with different ids", &mut mistakes);
        match key_ring {
            Some(key_ring) if mistakes.is_empty() => {
                Ok(backup_core::Settings { policy: self.policy(), brokers, stores, key_ring })
            }
            _ => Err(ConfigError::new(self.source.clone(), mistakes)),
        }
    }
}

fn convert_broker(settings: &BrokerSettings, path: &str, mistakes: &mut Vec<Mistake>) -> Option<Broker> {
    let agent_tls = agent_tls(&settings.agent, &format!("{path}.agent"), mistakes);
    let agent = agent_tls.and_then(|tls| {
        note(AgentClient::new(&tls), format!("{path}.agent"), "usable TLS settings", mistakes)
    });
    let source = match (&settings.url, &settings.static_inventory) {
        (Some(url), _) => {
            let endpoint = BrokerEndpoint {
                url: url.clone(),
                user: settings.user.clone().unwrap_or_default(),
                password: settings.password.clone().unwrap_or_default(),
            };
            let ca_pem = pem(settings.ca_path.as_deref(), format!("{path}.ca_path"), mistakes)?;
            let tls = TlsOptions { ca_pem, ..TlsOptions::default() };
            let client = BrokerClient::new(endpoint, &tls);
            BrokerSource::Http(note(client, format!("{path}.ca_path"), "usable TLS settings", mistakes)?)
        }
        (None, Some(file)) => BrokerSource::StaticInventory(file.clone()),
        (None, None) => return None,
    };
    Some(Broker {
        name: settings.name.clone(),
        source,
        agent: agent?,
        agent_credential: credential(&settings.agent),
        agent_url_template: settings.backup_agent_url.clone(),
        data_service: settings.data_service.clone(),
        store: settings.store.clone(),
        form: match settings.backup_format {
            BackupFormat::Default => StoredForm::Default,
            BackupFormat::Legacy => StoredForm::Legacy,
        },
    })
}

fn agent_tls(agent: &AgentSettings, path: &str, mistakes: &mut Vec<Mistake>) -> Option<TlsOptions> {
    let ca_pem = pem(agent.ca_path.as_deref(), format!("{path}.ca_path"), mistakes)?;
    Some(TlsOptions { ca_pem, server_name: agent.server_name.clone(), identity_pem: agent.identity.clone() })
}

fn credential(agent: &AgentSettings) -> AgentCredential {
    match &agent.token {
        Some(token) => AgentCredential::Bearer(token.clone()),
        None => AgentCredential::Basic {
            user: agent.user.clone().unwrap_or_default(),
            password: agent.password.clone().unwrap_or_else(|| SecretString::from("")),
        },
    }
}

/// Reads a PEM file if one is named; the outer `None` says that it could not be read.
fn pem(path: Option<&Path>, key: String, mistakes: &mut Vec<Mistake>) -> Option<Option<Vec<u8>>> {
    match path.map(std::fs::read) {
        None => Some(None),
        Some(read) => note(read, key, "a readable PEM file", mistakes).map(Some),
    }
}

fn note<T, E: std::error::Error + 'static>(
    result: Result<T, E>,
    path: String,
    allowed: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<T> {
    result.map_err(|error| mistakes.push(Mistake::new(path, chain(&error), allowed))).ok()
}

/// Numbers here have passed their bounds, which are narrower than the type.
fn narrow(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn minutes(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0).saturating_mul(60))
}
