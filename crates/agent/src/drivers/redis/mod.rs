//! The driver for Redis and Valkey: one RDB snapshot, as the server sends it to a replica. The stream is that file and
//! nothing else, so `redis-server` itself can load it. Users (ACL) and the server's configuration are not part of it.
//!
//! A restore gives the snapshot to a temporary server of its own first, which proves that it can be loaded, and then makes
//! the running server a replica of that one for a moment. The running server keeps its old data until it has all of the new
//! ones (`repl-diskless-load swapdb`, Redis 6 and newer), so clients see either; in between they may only read. It needs
//! the memory of the data three times while it lasts. A rehearsal does the same to a server of its own. Begin with
//! `backup.rs`, `temporary.rs` and `exchange.rs`.

mod backup;
mod check;
mod connection;
mod exchange;
mod info;
mod scratch;
mod temporary;

use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use super::alone::Alone;
use super::record::Record;
use super::{Driver, DriverError, Loaded, Scratch};
use crate::session::{RunningProgram, Session};
use connection::Connection;
use exchange::{Exchange, Pending};
use info::Info;
use scratch::{OwnServer, ScratchRedis};
use temporary::TemporaryServer;

const NAME: &str = "redis";
const STREAM_VERSION: u32 = 1;
const RECORD: &str = "redis-restore.json";

/// `driver.redis` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// Host name or address; not used with `socket`.
    #[serde(default = "default_host")]
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Path of the Unix socket, instead of host and port.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// A user of the server's ACL; without it the default user.
    #[serde(default)]
    pub user: Option<String>,
    /// The password, unless the server wants none.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// `redis-server` or `valkey-server`, for a restore; without it the first of them in the usual places. Not newer than
    /// the running server.
    #[serde(default)]
    pub server_program: Option<PathBuf>,
    /// Where the temporary server of a restore listens: an address of this machine that the running server can reach.
    #[serde(default = "default_restore_address")]
    pub restore_address: IpAddr,
}

fn default_host() -> String {
    "127.0.0.1".to_owned()
}

fn default_port() -> u16 {
    6379
}

fn default_restore_address() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}

/// The driver.
pub(super) struct Redis {
    inner: Arc<Inner>,
}

/// What the driver and a restore of its share.
struct Inner {
    settings: RedisSettings,
    scratch: PathBuf,
    record: Record<Pending>,
    /// Held while an interrupted restore is settled.
    recovering: Alone,
    /// The server itself, when it is a rehearsal's own.
    own: Option<OwnServer>,
}

impl Inner {
    fn connect(&self, session: &Session) -> Result<Connection, DriverError> {
        let settings = &self.settings;
        let mut connection = match &settings.socket {
            Some(path) => Connection::open_socket(path, session)?,
            None => Connection::open(&settings.host, settings.port, session)?,
        };
        connection.authenticate(settings.user.as_deref(), settings.password.as_ref())?;
        Ok(connection)
    }

    fn own_server(&self) -> Option<&RunningProgram> {
        self.own.as_ref().map(|own| &own.running)
    }
}

impl Redis {
    pub(super) fn open(settings: &RedisSettings, scratch: &Path) -> Result<Self, DriverError> {
        let record = Record::at(scratch, RECORD);
        let (settings, scratch) = (settings.clone(), scratch.to_owned());
        let inner = Inner { settings, scratch, record, recovering: Alone::default(), own: None };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Driver for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stream_version(&self) -> u32 {
        STREAM_VERSION
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        let info = Info::read(&mut self.inner.connect(session)?)?;
        Ok(Some(info.version().to_owned()))
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        let info = Info::read(&mut self.inner.connect(session)?)?;
        Ok(info.number("used_memory_dataset"))
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        self.inner.record.refuse_while_there()?;
        backup::backup(self.inner.connect(session)?, session, out)
    }

    fn load(&self, session: &Session, _: &str, input: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
        let target = exchange::check_target(&self.inner, session)?;
        let (temporary, found) = TemporaryServer::load(&self.inner, &target, session, input)?;
        if let Some(own) = &self.inner.own {
            own.note(&found)?;
        }
        Ok(Box::new(Exchange { inner: Arc::clone(&self.inner), temporary }))
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        exchange::recover(&self.inner, session)
    }

    fn can_rehearse(&self) -> bool {
        true
    }

    fn scratch(&self, session: &Session, directory: &Path) -> Result<Option<Box<dyn Scratch>>, DriverError> {
        Ok(Some(Box::new(ScratchRedis::start(&self.inner, session, directory)?)))
    }
}
