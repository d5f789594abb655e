//! The driver for MariaDB: one logical dump of all databases at one moment, with routines, triggers, events, views, users
//! and privileges. It talks to the server through MariaDB's own client programs only.
//!
//! A restore loads all tables into databases with reserved names, beside those in use. Then clients are kept out, and one
//! `RENAME TABLE`, which the server does wholly or not at all also when it crashes, moves the old tables aside and the new
//! ones in. What cannot be renamed (views, routines, triggers, events, users) is made anew before clients come back; if
//! that fails, everything goes back the same way. A rehearsal does the same in a server of its own. Begin with `backup.rs`,
//! `load.rs` and `exchange.rs`.

mod backup;
mod catalogue;
mod check;
mod client;
mod clients;
mod container;
mod exchange;
mod load;
mod names;
mod pending;
mod redirect;
mod scratch;
mod server_programs;
mod transition;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::record::Record;
use super::{Driver, DriverError, Loaded, Scratch};
use crate::session::{RunningProgram, Session};
use client::Client;
use pending::Pending;
use scratch::{OwnServer, ScratchMariadb};

const NAME: &str = "mariadb";
const STREAM_VERSION: u32 = 1;

/// `driver.mariadb` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MariadbSettings {
    /// Host name or address; not used with `socket`.
    #[serde(default = "default_host")]
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Path of the Unix socket, instead of host and port.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// A user with all privileges; a restore never changes this user.
    #[serde(default = "default_user")]
    pub user: String,
    /// Its password, unless the server wants none.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// PEM file with the authority of the server's certificate; present: TLS is demanded and the certificate is verified.
    #[serde(default)]
    pub ca_path: Option<PathBuf>,
    /// Where `mariadb` and `mariadb-dump` are; `/usr/bin` and others of the usual places without it.
    #[serde(default)]
    pub bin_directory: Option<PathBuf>,
    /// Users a restore neither creates, changes nor drops, beside `user`.
    #[serde(default)]
    pub keep_users: Vec<String>,
}

fn default_host() -> String {
    "127.0.0.1".to_owned()
}

fn default_port() -> u16 {
    3306
}

fn default_user() -> String {
    "root".to_owned()
}

/// The driver.
pub(super) struct Mariadb {
    inner: Arc<Inner>,
}

/// What the driver and a restore of its share.
struct Inner {
    client: Client,
    record: Record<Pending>,
    /// For what is kept beside the record while a restore lasts.
    folder: PathBuf,
    /// Held while leftovers are looked for.
    recovering: Mutex<()>,
    /// The server itself, when it is a rehearsal's own.
    own: Option<OwnServer>,
}

impl Inner {
    fn new(client: Client, scratch: &Path, own: Option<OwnServer>) -> Self {
        let record = Record::at(scratch, "mariadb-restore.json");
        let folder = scratch.join("mariadb-restore");
        Self { client, record, folder, recovering: Mutex::default(), own }
    }

    fn own_server(&self) -> Option<&RunningProgram> {
        self.own.as_ref().map(|own| &own.running)
    }
}

impl Inner {
    /// Waits until nobody else recovers, or the session is stopped.
    fn alone(&self, session: &Session) -> Result<MutexGuard<'_, ()>, DriverError> {
        loop {
            session.check()?;
            match self.recovering.try_lock() {
                Ok(alone) => return Ok(alone),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Mariadb {
    pub(super) fn open(settings: &MariadbSettings, scratch: &Path) -> Result<Self, DriverError> {
        let client = Client::find(settings.clone(), scratch)?;
        Ok(Self { inner: Arc::new(Inner::new(client, scratch, None)) })
    }
}

impl Driver for Mariadb {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stream_version(&self) -> u32 {
        STREAM_VERSION
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        let version = self.inner.client.sql(session, "SELECT VERSION();".to_owned())?;
        Ok(Some(version.trim().to_owned()))
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        catalogue::size(&self.inner.client, session).map(Some)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        self.inner.record.refuse_while_there()?;
        backup::backup(&self.inner.client, session, out)
    }

    fn load(&self, session: &Session, _: &str, input: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
        match load::load(&self.inner, session, input) {
            Ok(backup) => {
                if let Some(own) = &self.inner.own {
                    own.note(&self.inner, session, backup)?;
                }
                Ok(Box::new(LoadedTables { inner: Arc::clone(&self.inner) }))
            }
            Err(error) => {
                exchange::clean_or_log(&self.inner);
                Err(error)
            }
        }
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        exchange::recover(&self.inner, session).map(drop)
    }

    fn can_rehearse(&self) -> bool {
        true
    }

    fn scratch(&self, session: &Session, directory: &Path) -> Result<Option<Box<dyn Scratch>>, DriverError> {
        Ok(Some(Box::new(ScratchMariadb::start(&self.inner.client, session, directory)?)))
    }
}

/// All tables of a backup, complete in databases with reserved names.
struct LoadedTables {
    inner: Arc<Inner>,
}

impl Loaded for LoadedTables {
    fn commit(self: Box<Self>, session: &Session) -> Result<(), DriverError> {
        exchange::exchange(&self.inner, session)
    }

    fn discard(self: Box<Self>) {
        exchange::clean_or_log(&self.inner);
    }
}
