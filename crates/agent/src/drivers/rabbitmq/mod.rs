//! The driver for RabbitMQ: its definitions (virtual hosts, users, permissions, queues, exchanges, bindings, policies,
//! parameters) over the HTTP API of the management plugin. Messages are not part of a backup.
//!
//! RabbitMQ can only add definitions, and one after the other, so a restore is checked as far as it can be before anything
//! is touched, notes where it is, and goes back or forward after an error or a kill. Begin with `backup.rs` and `restore.rs`.

mod api;
mod definitions;
mod restore;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use super::alone::Alone;
use super::record::Record;
use super::{Driver, DriverError, Loaded};
use crate::session::Session;
use api::Api;
use definitions::Definitions;
use restore::{Exchange, Pending};

const NAME: &str = "rabbitmq";
const STREAM_VERSION: u32 = 1;

/// `driver.rabbitmq` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RabbitmqSettings {
    /// The management plugin's address, for example `http://127.0.0.1:15672`.
    #[serde(default = "default_url")]
    pub url: String,
    /// A user with the tag `administrator`; a restore never changes this user.
    #[serde(default = "default_user")]
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// PEM file with the authority of the server's certificate; without it those of the system.
    #[serde(default)]
    pub ca_path: Option<PathBuf>,
    /// Users a restore neither creates, changes nor drops, beside `user`.
    #[serde(default)]
    pub keep_users: Vec<String>,
}

fn default_url() -> String {
    "http://127.0.0.1:15672".to_owned()
}

fn default_user() -> String {
    "guest".to_owned()
}

/// The driver.
pub(super) struct Rabbitmq {
    inner: Arc<Inner>,
}

/// What the driver and a restore of its share.
struct Inner {
    api: Api,
    keep_users: Vec<String>,
    record: Record<Pending>,
    /// Held while an interrupted restore is completed or undone.
    recovering: Alone,
}

impl Rabbitmq {
    pub(super) fn open(settings: &RabbitmqSettings, scratch: &Path) -> Result<Self, DriverError> {
        let mut keep_users = settings.keep_users.clone();
        keep_users.push(settings.user.clone());
        let record = Record::at(scratch, "rabbitmq-restore.json");
        let api = Api::open(settings)?;
        Ok(Self { inner: Arc::new(Inner { api, keep_users, record, recovering: Alone::default() }) })
    }
}

impl Driver for Rabbitmq {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stream_version(&self) -> u32 {
        STREAM_VERSION
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        self.inner.api.version(session).map(Some)
    }

    fn estimate(&self, _: &Session) -> Result<Option<u64>, DriverError> {
        // It is small, and only the backup itself would tell.
        Ok(None)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        self.inner.record.refuse_while_there()?;
        let definitions = Definitions::read(&self.inner.api, session)?;
        out.write_all(&definitions.to_bytes()?).map_err(DriverError::Stream)
    }

    fn load(&self, session: &Session, _: &str, input: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
        let wanted = Definitions::parse(input)?;
        restore::check(&self.inner, session, &wanted)?;
        Ok(Box::new(Exchange { inner: Arc::clone(&self.inner), wanted }))
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        restore::recover(&self.inner, session)
    }
}
