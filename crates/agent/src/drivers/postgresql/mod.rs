//! The driver for PostgreSQL: logical dumps of all databases and the globals, restored into the running server beside the
//! databases in use, then exchanged in one transaction. It talks to the server through PostgreSQL's own programs only.
//! Begin with `backup.rs` and `load.rs`; `swap.rs` is the moment of truth and `recover.rs` what happens after a kill.

mod archive;
mod backup;
mod catalogue;
mod container;
mod databases;
mod leftovers;
mod load;
mod loading;
mod manifest;
mod names;
pub(crate) mod physical;
mod plan;
mod preconditions;
mod programs;
mod quote;
mod recover;
mod roles;
mod room;
mod scratch;
mod scratch_file;
mod stand_ins;
mod state;
mod swap;
mod taint;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use super::{Driver, DriverError, Loaded, Scratch};
use crate::session::Session;
pub use physical::PhysicalSettings;
pub(crate) use physical::Physical;
use programs::Programs;

const NAME: &str = "postgresql";
const STREAM_VERSION: u32 = 1;

/// `driver.postgresql` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresqlSettings {
    /// Host name, address or the directory of the Unix socket.
    #[serde(default = "default_host")]
    pub host: String,
    /// TCP port, or the number of the socket.
    #[serde(default = "default_port")]
    pub port: u16,
    /// A superuser of the server; a restore never changes this role.
    #[serde(default = "default_user")]
    pub user: String,
    /// Its password, unless the server wants none.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// libpq's `sslmode`, for example `verify-full`.
    #[serde(default)]
    pub ssl_mode: Option<String>,
    /// The database to connect to for questions about the server.
    #[serde(default = "default_database")]
    pub maintenance_database: String,
    /// Where `pg_dump` and the others are; without it the server's own version below `/usr/lib/postgresql`, else the
    /// newest there, else those in `PATH`.
    #[serde(default)]
    pub bin_directory: Option<PathBuf>,
    /// True: a restore loads with `user` itself, so that whoever owns a database that is backed up may become superuser at
    /// its restore. Only for databases with objects that their owners could not have made themselves.
    #[serde(default)]
    pub trust_owners: bool,
    /// Roles a restore neither creates, changes nor drops, beside `user`.
    #[serde(default)]
    pub keep_roles: Vec<String>,
    /// Present: this agent also makes physical backups and archives the server's log.
    #[serde(default)]
    pub physical: Option<PhysicalSettings>,
}

fn default_host() -> String {
    "127.0.0.1".to_owned()
}

fn default_port() -> u16 {
    5432
}

fn default_user() -> String {
    "postgres".to_owned()
}

fn default_database() -> String {
    "postgres".to_owned()
}

/// The driver.
pub(super) struct Postgresql {
    programs: Arc<Programs>,
    physical: Option<Arc<Physical>>,
}

impl Postgresql {
    pub(super) fn open(settings: &PostgresqlSettings, scratch: &Path) -> Result<Self, DriverError> {
        let programs = Arc::new(Programs::find(settings.clone(), scratch)?);
        let physical = settings.physical.as_ref().map(|physical| {
            Ok::<_, DriverError>(Arc::new(Physical::open(physical, Arc::clone(&programs), scratch)?))
        });
        Ok(Self { programs, physical: physical.transpose()? })
    }
}

impl Driver for Postgresql {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stream_version(&self) -> u32 {
        STREAM_VERSION
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        let open = self.programs.open_database(session)?;
        let answer = self.programs.sql(session, &open, "SELECT current_setting('server_version');".into())?;
        Ok(Some(answer.trim().to_owned()))
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        catalogue::size(&self.programs, session).map(Some)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        backup::backup(&self.programs, session, out)
    }

    fn load(&self, session: &Session, _: &str, input: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
        let manifest = match load::load(&self.programs, session, input) {
            Ok(manifest) => manifest,
            Err(error) => {
                recover::clean_or_log(&self.programs);
                return Err(error);
            }
        };
        Ok(Box::new(LoadedDatabases { programs: Arc::clone(&self.programs), manifest }))
    }

    fn physical(&self) -> Option<Arc<Physical>> {
        self.physical.clone()
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        // First, because it starts a server that a killed agent had stopped.
        self.physical.as_ref().map_or(Ok(()), |physical| physical.recover(session))?;
        recover::recover(&self.programs, session)?.cleaned
    }

    fn can_rehearse(&self) -> bool {
        true
    }

    fn scratch(&self, session: &Session, directory: &Path) -> Result<Option<Box<dyn Scratch>>, DriverError> {
        Ok(Some(Box::new(scratch::ScratchServer::start(&self.programs, session, directory)?)))
    }
}

/// All databases of a backup, complete under temporary names.
struct LoadedDatabases {
    programs: Arc<Programs>,
    manifest: manifest::Manifest,
}

impl Loaded for LoadedDatabases {
    fn commit(self: Box<Self>, _: &Session) -> Result<(), DriverError> {
        swap::swap(&self.programs, &self.manifest)
    }

    fn discard(self: Box<Self>) {
        recover::clean_or_log(&self.programs);
    }
}
