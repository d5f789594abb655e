//! The whole file as one type. Defaults are here and in the sections' own files; bounds are in `check.rs`.

use std::collections::BTreeMap;

use backup_daemon::duration::HumaneDuration;
use backup_daemon::logging::LogSettings;
use backup_objects::StoreConfig;
use secrecy::SecretString;
use serde::Deserialize;

use crate::auth::AuthSettings;
use crate::brokers::BrokerSettings;
use crate::database::DatabaseSettings;
use crate::history::HistorySettings;
use crate::jobs::{BackupSettings, JobSettings};
use crate::limits::LimitSettings;
use crate::listen::ListenSettings;
use crate::workers::{WorkerGroupSettings, default_groups};

/// `backup-manager.yml`. Numbers are wide and signed, so that one out of range is reported with its bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// When all instances are backed up: cron with five fields.
    #[serde(default = "full_backup_repeat")]
    pub full_backup_repeat: String,
    /// When expired backups are marked as deleted.
    #[serde(default = "delete_backup_repeat")]
    pub delete_backup_repeat: String,
    /// When the service brokers are asked.
    #[serde(default = "update_instance_state_repeat")]
    pub update_instance_state_repeat: String,
    /// When the database is compared with the stores and the agents' journals; none or empty: only when somebody asks.
    #[serde(default = "reconcile_repeat")]
    pub reconcile_repeat: Option<String>,
    /// When a sample of backups is rehearsed; none or empty: only when somebody asks.
    #[serde(default)]
    pub verify_backup_repeat: Option<String>,
    /// Most rehearsals that schedule asks for at once.
    #[serde(default = "verify_backup_budget")]
    pub verify_backup_budget: i64,
    /// IANA name of the schedules' time zone.
    #[serde(default = "time_zone")]
    pub time_zone: String,
    /// Minutes over which a full backup spreads the start of instances.
    #[serde(default)]
    pub full_backup_spread: i64,
    /// Default of an instance's `min_backup_count`.
    #[serde(default = "min_backups_per_instance")]
    pub min_backups_per_instance: i64,
    /// Days; default of an instance's `retention_time`.
    #[serde(default = "min_backup_age")]
    pub min_backup_age: i64,
    /// Days, counted from the deletion of the instance.
    #[serde(default = "retention_time_for_backups_of_a_deleted_instance")]
    pub retention_time_for_backups_of_a_deleted_instance: i64,
    /// How long an automatically marked backup stays in the store and can be undeleted.
    #[serde(default = "undo_window")]
    pub undo_window: HumaneDuration,
    /// Whether clients may delete the newest backups that the minimum protects from retention.
    #[serde(default = "allow_client_deletion_below_minimum")]
    pub allow_client_deletion_below_minimum: bool,
    /// How long what is over is remembered.
    #[serde(default)]
    pub history: HistorySettings,
    /// The worker groups.
    #[serde(default = "default_groups")]
    pub workers: Vec<WorkerGroupSettings>,
    /// Attempts, deadlines and intervals of the work.
    #[serde(default)]
    pub jobs: JobSettings,
    /// How much may run at once.
    #[serde(default)]
    pub limits: LimitSettings,
    /// What agents are asked for.
    #[serde(default)]
    pub backups: BackupSettings,
    /// The first encrypts columns of the database, the others still decrypt.
    pub backup_manager_encryption_keys: Vec<EncryptionKeySettings>,
    /// Shortest key an owner may set, in characters.
    #[serde(default = "custom_encryption_key_min_length")]
    pub custom_encryption_key_min_length: i64,
    /// Whether backups made with the owner's key may be downloaded.
    #[serde(default = "allow_backup_download")]
    pub allow_backup_download: bool,
    /// Where the API listens.
    #[serde(default)]
    pub listen: ListenSettings,
    /// Who may use the API.
    #[serde(default)]
    pub auth: AuthSettings,
    /// The manager's own database.
    pub database: DatabaseSettings,
    /// Where service instances come from.
    pub service_brokers: Vec<BrokerSettings>,
    /// Where backups go, by name.
    pub stores: BTreeMap<String, StoreConfig>,
    /// Form and level of the logs.
    #[serde(default)]
    pub log: LogSettings,
    /// The file all this came from, for messages.
    #[serde(skip)]
    pub(crate) source: String,
}

/// One key of the encrypted columns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionKeySettings {
    /// Stands beside every value it has encrypted; never reuse one.
    pub id: String,
    /// A random text, for example from `openssl rand -base64 32`.
    pub key: SecretString,
}

fn full_backup_repeat() -> String {
    "30 1 * * *".to_owned()
}

fn delete_backup_repeat() -> String {
    "0 1 * * *".to_owned()
}

fn update_instance_state_repeat() -> String {
    "*/5 * * * *".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "serde takes the type of the field")]
fn reconcile_repeat() -> Option<String> {
    Some("0 4 * * *".to_owned())
}

fn verify_backup_budget() -> i64 {
    10
}

fn time_zone() -> String {
    "UTC".to_owned()
}

fn min_backups_per_instance() -> i64 {
    5
}

fn min_backup_age() -> i64 {
    7
}

fn retention_time_for_backups_of_a_deleted_instance() -> i64 {
    30
}

fn undo_window() -> HumaneDuration {
    HumaneDuration::from_secs(24 * 3600)
}

fn allow_client_deletion_below_minimum() -> bool {
    true
}

fn custom_encryption_key_min_length() -> i64 {
    8
}

fn allow_backup_download() -> bool {
    true
}
